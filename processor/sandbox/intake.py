"""Takes one item in: checks it, lets it take effect, records the truth."""

from hashlib import blake2b
from typing import Any, final

import orjson

from processor.sandbox.faults import Faults
from processor.sandbox.items import BATCH_USER, EVENT, USER, ItemRules
from processor.sandbox.options import SandboxOptions
from processor.sandbox.truth import Effect, ItemOrigin, TakenItem, Truth
from processor.sandbox.users import User, Users
from processor.sandbox.wire import ApiError, Json, invalid

HASH_BYTES = 8
SESSION_IDS = frozenset({"id", "uid"})


@final
class Intake:
    """The one way in, for single requests and for the items of a job alike."""

    def __init__(self, options: SandboxOptions, faults: Faults, users: Users, truth: Truth) -> None:
        self._options = options
        self._faults = faults
        self._users = users
        self._truth = truth
        self.rules = ItemRules(options)
        self.properties_dropped = 0

    def user(self, given: Any, origin: ItemOrigin, at: float) -> TakenItem:
        """Upsert a user; raises `ApiError` when the item is refused, without effect."""
        item, dropped = self.rules.user(given, BATCH_USER if origin.via == "batch" else USER)
        self._refuse_unlucky(item, "invalid_argument")
        user = self._users.upsert(item)
        return TakenItem(self._record(item, origin, at, dropped), user.id)

    def update(self, user_id: str, given: Any, origin: ItemOrigin, at: float) -> TakenItem:
        """Update a user by FullStory's id; raises `ApiError` as `user` does, and 404."""
        item, dropped = self.rules.user(given, USER)
        self._refuse_unlucky(item, "invalid_argument")
        user = self._users.update(user_id, item)
        return TakenItem(self._record(item, origin, at, dropped), user.id)

    def event(self, given: Any, origin: ItemOrigin, at: float) -> TakenItem:
        """Create an event; raises `ApiError` when the item is refused, without effect."""
        item, dropped = self.rules.event(given)
        self._refuse_unlucky(item, "event_validation_failed")
        names_a_session = not SESSION_IDS.isdisjoint(item.get("session", ()))
        user_id = "" if names_a_session else self._users.of_event(item.get("user", {}))
        return TakenItem(self._record(item, origin, at, dropped), user_id)

    def delete(self, user: User, origin: ItemOrigin, at: float) -> None:
        """Delete a user."""
        self._users.delete(user)
        self._truth.add(at, origin, {"id": user.id} if user.uid is None else {"uid": user.uid, "id": user.id})

    def of_job(self, item: Any, shared: Json, origin: ItemOrigin, at: float) -> TakenItem:
        """Take one item of a job: a user, or an event with the batch's `shared` filled in."""
        if origin.kind == "user":
            return self.user(item, origin, at)
        if shared:
            event = EVENT.read(item)
            if repeated := event.keys() & shared.keys():
                raise invalid(f"{min(repeated)} is given both in shared and in the event")
            item = {**shared, **event}
        return self.event(item, origin, at)

    def _record(self, item: Json, origin: ItemOrigin, at: float, dropped: int) -> Effect:
        self.properties_dropped += dropped
        return self._truth.add(at, origin, item)

    def _refuse_unlucky(self, item: Json, code: str) -> None:
        """Apply `item_failure_ratio`: by content, so that the same item is refused whenever it is sent."""
        ratio = self._faults.item_failure_ratio
        if not ratio:
            return
        content = orjson.dumps([self._options.seed, item], option=orjson.OPT_SORT_KEYS)
        digest = blake2b(content, digest_size=HASH_BYTES).digest()
        if int.from_bytes(digest) < ratio * 256**HASH_BYTES:
            raise ApiError(400, code, self._options.item_error_message)
