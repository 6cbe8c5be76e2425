"""Whose the API key is, and what follows from that: when delivery begins, and in which mode it goes on."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import final

from processor.adapters.fullstory import ApiKey
from processor.engine.digest import digest
from processor.engine.notices import KeyKnown, Observer
from processor.model.reasons import HaltReason
from processor.runtime.account import KeyAccount, Mode
from processor.runtime.worker import Worker

Identify = Callable[[], Awaitable[KeyAccount]]
"""Asks, halted meanwhile, until FullStory names an account that will do."""


@final
@dataclass(slots=True)
class Identity:
    """The account of the key in use, as far as FullStory has named it; `rotate` puts another key to use."""

    _rotate: Callable[[ApiKey], None]
    _worker: Worker
    _mode: Mode
    _expected_org_id: str | None
    _deletes_users: bool
    _observe: Observer
    _account: KeyAccount | None = None
    _is_in_doubt: asyncio.Event = field(default_factory=asyncio.Event)
    """While the gate is closed because of the key's role."""
    _was_renewed: bool = False

    async def establish(self, identify: Identify) -> None:
        """Open the worker as soon as it is known whose the key is; after a key that will not do, once more. Endless."""
        account = await self._ask(identify)
        self._learn(account)
        self._worker.open(digest(account.org_id.encode()))
        while True:
            await self._is_in_doubt.wait()
            self._learn(await self._ask(identify))
            self._is_in_doubt.clear()
            self._worker.gate.open()

    def org_id(self) -> str | None:
        """Return the organisation that a new key has to belong to; None while any may come."""
        return self._account.org_id if self._account else self._expected_org_id

    def renew(self, key: ApiKey, account: KeyAccount) -> None:
        """Use another key from now on; raises `ConfigurationError` when it is another data centre's.

        With a key that may not delete users where the worker does, nothing is sent, as at the start.
        """
        self._rotate(key)
        self._was_renewed = True
        # While `identify` still asks, it does so the next time with this key, and then the worker opens.
        if self._account is None or self._is_in_doubt.is_set():
            return
        self._learn(account)
        self._worker.gate.resume(HaltReason.UNAUTHORIZED)
        if self._deletes_users and not account.deletes_users:
            self._worker.gate.close()
            self._is_in_doubt.set()

    async def _ask(self, identify: Identify) -> KeyAccount:
        """Ask whose key it is; once more where it is another one by the time of the answer."""
        while True:
            self._was_renewed = False
            account = await identify()
            if not self._was_renewed:
                return account

    def _learn(self, account: KeyAccount) -> None:
        self._account = account
        is_batch = account.uses_batches(self._mode)
        self._worker.use_batches(is_batch=is_batch)
        self._observe(KeyKnown(account.org_id, account.role, is_batch))
