"""What became of letters that were to be delivered."""

from dataclasses import dataclass
from typing import Any, final

from processor.commands.common.delivery import Delivery
from processor.commands.redrive.choice import RedriveAccount


@final
@dataclass(frozen=True, slots=True)
class DeliveryAccount:
    """What became of the selected letters: each is counted once."""

    choice: RedriveAccount
    delivery: Delivery

    @property
    def expired(self) -> int:
        """How many were deleted from the topic before they were read."""
        return self.delivery.expired + self.delivery.missing

    @property
    def balances(self) -> bool:
        """Whether each selected letter was skipped or sent, and each that was sent has its end or is left."""
        return self.choice.balances and self.choice.sent == self.delivery.ended + self.expired + self.delivery.left

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            **self.choice.as_json(),
            "balances": self.balances,
            **self.delivery.as_json(),
            "expired": self.expired,
            "left": self.delivery.left,
        }
