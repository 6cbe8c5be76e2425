"""Whose the API key is, and what follows from that: when delivery begins, and in which mode it goes on."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import final

from processor.adapters.fullstory import ApiKey, FullStory
from processor.engine.digest import digest
from processor.engine.notices import KeyKnown, Observer
from processor.model.reasons import HaltReason
from processor.runtime.account import KeyAccount, Mode
from processor.runtime.worker import Worker


@final
@dataclass(slots=True)
class Identity:
    """The account of the key in use, as far as FullStory has named it."""

    _destination: FullStory
    _worker: Worker
    _mode: Mode
    _expected_org_id: str | None
    _observe: Observer
    _account: KeyAccount | None = None

    async def establish(self, identify: Callable[[], Awaitable[KeyAccount]]) -> None:
        """Open the worker as soon as `identify` returns whose the key is."""
        account = await identify()
        self._learn(account)
        self._worker.open(digest(account.org_id.encode()))

    def org_id(self) -> str | None:
        """Return the organisation that a new key has to belong to; None while any may come."""
        return self._account.org_id if self._account else self._expected_org_id

    def renew(self, key: ApiKey, account: KeyAccount) -> None:
        """Use another key from now on; raises `ConfigurationError` when it is another data centre's."""
        self._destination.rotate(key)
        # While no account is known, `identify` still asks: the next time with this key, and then the worker opens.
        if self._account is not None:
            self._learn(account)
            self._worker.gate.resume(HaltReason.UNAUTHORIZED)

    def _learn(self, account: KeyAccount) -> None:
        self._account = account
        is_batch = account.uses_batches(self._mode)
        self._worker.use_batches(is_batch=is_batch)
        self._observe(KeyKnown(account.org_id, account.role, is_batch))
