"""FullStory's users: upserted by uid, merged, found, deleted (docs/fullstory-api.md#users)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import final

from processor.sandbox.faults import SeededChance
from processor.sandbox.options import Nested
from processor.sandbox.properties import merge, replace
from processor.sandbox.property_types import types_of
from processor.sandbox.wire import Json, invalid, not_found

ID_DIGITS = 16

Store = Callable[[Json, Json], None]
"""Puts the properties of an upsert into those that a user has."""


@final
@dataclass(slots=True)
class User:
    """One user. Without a uid it is anonymous."""

    id: str
    uid: str | None = None
    display_name: str | None = None
    email: str | None = None
    properties: Json = field(default_factory=dict)
    schema: Json = field(default_factory=dict)

    def absorb(self, item: Json, store: Store) -> None:
        """Take over what an upsert says."""
        self.display_name = item.get("display_name", self.display_name)
        self.email = item.get("email", self.email)
        store(self.properties, item.get("properties", {}))
        self.schema.update(item.get("schema", {}).get("properties", {}))

    def as_json(self, *, include_schema: bool) -> Json:
        """Return the read shape: `id` and `is_being_deleted` always, the rest when known."""
        shape: Json = {"id": self.id, "is_being_deleted": False}
        for name in ("uid", "display_name", "email", "properties"):
            if value := getattr(self, name):
                shape[name] = value
        if include_schema:
            shape["schema"] = {"properties": types_of(self.properties, self.schema)}
        return shape


@final
class Users:
    """Every user, by FullStory's id and by uid."""

    def __init__(self, chance: SeededChance, nested: Nested) -> None:
        self._chance = chance
        self._store: Store = merge if nested is Nested.MERGE else replace
        self._by_id: dict[str, User] = {}
        self._by_uid: dict[str, User] = {}

    def __iter__(self) -> Iterator[User]:
        """Walk them in order of creation; a user whose id changed on identification appears once."""
        return (user for user_id, user in self._by_id.items() if user_id == user.id)

    def upsert(self, item: Json) -> User:
        """Create or update the user of `item`'s id, else of its uid; without both a new anonymous user."""
        if "id" in item:
            return self.update(item["id"], item)
        user = self._of_uid(item["uid"]) if "uid" in item else self._create()
        user.absorb(item, self._store)
        return user

    def update(self, user_id: str, item: Json) -> User:
        """Update the user with FullStory's id; raises `ApiError` 404 when unknown, 400 when its uid would change."""
        user = self.get(user_id)
        uid = item.get("uid", user.uid)
        if user.uid not in (None, uid):
            raise invalid("the uid of a user cannot be changed")
        if uid is not None and user.uid is None:
            user = self._identify(user, uid)
        user.absorb(item, self._store)
        return user

    def of_event(self, identification: Json) -> str:
        """Return FullStory's id of an event's user; an unknown uid, or nobody at all, makes a new one."""
        if "uid" in identification:
            return self._of_uid(identification["uid"]).id
        if "id" in identification:
            return str(identification["id"])
        return self._create().id

    def get(self, user_id: str) -> User:
        """Return the user with FullStory's id; raises `ApiError` 404."""
        if user := self._by_id.get(user_id):
            return user
        raise not_found("user_not_found")

    def by_uid(self, uid: str) -> User:
        """Return the user with your own id; raises `ApiError` 404."""
        if user := self._by_uid.get(uid):
            return user
        raise not_found("user_not_found")

    def delete(self, user: User) -> None:
        """Forget the user under every id it had."""
        for user_id in [known for known, other in self._by_id.items() if other is user]:
            del self._by_id[user_id]
        if user.uid is not None:
            del self._by_uid[user.uid]

    def _of_uid(self, uid: str) -> User:
        user = self._by_uid.get(uid)
        if user is None:
            user = self._by_uid[uid] = self._create()
            user.uid = uid
        return user

    def _identify(self, anonymous: User, uid: str) -> User:
        """Give an anonymous user its uid. Where that is taken, the two become one and the id changes."""
        known = self._by_uid.get(uid)
        if known is None:
            anonymous.uid = uid
            self._by_uid[uid] = anonymous
            return anonymous
        self._by_id[anonymous.id] = known
        return known

    def _create(self) -> User:
        user = User(self._chance.digits(ID_DIGITS))
        self._by_id[user.id] = user
        return user
