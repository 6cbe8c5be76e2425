"""A key that changes while the worker runs: its file is read again and again, a new key tried before it is used."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import final

from structlog.typing import FilteringBoundLogger

from processor.adapters.fullstory.key import ApiKey
from processor.cli.settings.checks import read_key
from processor.engine.verdict import Answer, Halt, NoAnswer, Retry
from processor.model.errors import ConfigurationError
from processor.runtime.account import Account, judge

LOOK_EVERY_S = 5.0
"""Kubernetes itself takes up to a minute to renew a mounted secret."""


@final
class KeyFile:
    """The file of the API key; `tried` asks FullStory whose a key is, `use` puts it to use.

    A key that is refused, or another organisation's, is told of once, and the one before it stays in use.
    """

    def __init__(
        self,
        path: Path,
        current: str,
        tried: Callable[[ApiKey], Awaitable[Answer | NoAnswer]],
        use: Callable[[ApiKey, Account], None],
        org_id: Callable[[], str | None],
        log: FilteringBoundLogger,
    ) -> None:
        self._path = path
        self._seen = current
        self._tried = tried
        self._use = use
        self._org_id = org_id
        self._log = log
        self._complaint = ""

    async def watch(self) -> None:
        """Look for ever."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self.look()

    async def look(self) -> None:
        """Put a new key to use, if there is one that works."""
        try:
            text = read_key(self._path)
            if text == self._seen:
                return
            key = ApiKey(text)
            account = judge(await self._tried(key))
        except (ValueError, ConfigurationError) as error:
            self._complain(str(error))
            return
        if isinstance(account, Retry):
            self._complain(f"the new key could not be tried yet: {account.detail}")
            return
        self._seen = text
        if isinstance(account, Halt):
            self._complain(account.detail)
        elif self._org_id() not in (None, account.org_id):
            self._complain(f"the new key is of the organisation {account.org_id}, not {self._org_id()}")
        else:
            self._complaint = ""
            self._use(key, account)

    def _complain(self, detail: str) -> None:
        if detail != self._complaint:
            self._complaint = detail
            self._log.warning("the new key is not used", detail=detail)
