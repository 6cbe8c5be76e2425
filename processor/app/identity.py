"""Whose the API key is, and what follows from that: when delivery begins, and in which mode it goes on."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import final

from processor.adapters.fullstory import ApiKey, FullStory
from processor.app.assemble import Assembled
from processor.engine.digest import digest
from processor.model.reasons import HaltReason
from processor.runtime.account import Account, Mode
from processor.runtime.delivery import DeliverySettings
from processor.runtime.notices import KeyKnown, Observer


@final
@dataclass(slots=True)
class Identity:
    """The account of the key in use, as far as FullStory has named it."""

    _destination: FullStory
    _assembled: Assembled
    _delivery: DeliverySettings
    _mode: Mode
    _expected_org_id: str | None
    _observe: Observer
    _account: Account | None = None

    async def establish(self, identify: Callable[[], Awaitable[Account]]) -> None:
        """Open the worker as soon as `identify` returns whose the key is."""
        account = await identify()
        self._learn(account)
        self._assembled.worker.open(digest(account.org_id.encode()))

    def org_id(self) -> str | None:
        """Return the organisation that a new key has to belong to; None while any may come."""
        return self._account.org_id if self._account else self._expected_org_id

    def renew(self, key: ApiKey, account: Account) -> None:
        """Use another key from now on; raises `ConfigurationError` when it is another data centre's."""
        self._destination.rotate(key)
        # While no account is known, `identify` still asks: the next time with this key, and then the worker opens.
        if self._account is not None:
            self._learn(account)
            self._assembled.gate.resume(HaltReason.UNAUTHORIZED)

    def _learn(self, account: Account) -> None:
        self._account = account
        self._delivery.is_batch = account.uses_batches(self._mode)
        self._observe(KeyKnown(account.org_id, account.role, self._delivery.is_batch))
