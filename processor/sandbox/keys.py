"""API keys and what they may do: docs/fullstory-api.md#authentication."""

from collections.abc import Mapping
from enum import Enum
from typing import final

from processor.sandbox.options import Role
from processor.sandbox.wire import FORBIDDEN, UNAUTHORIZED, ApiError


@final
class Access(Enum):
    """The roles whose keys may use an endpoint."""

    ANY = frozenset(Role)
    STANDARD = frozenset({Role.USER, Role.ARCHITECT, Role.ADMIN})
    ARCHITECT = frozenset({Role.ARCHITECT, Role.ADMIN})


@final
class Keys:
    """The keys in force; they can be revoked, restored and given another role at run time."""

    def __init__(self, roles: Mapping[str, Role]) -> None:
        self.roles = dict(roles)
        self.known = dict(roles)
        """Every key that was ever in force, with the role that it has or had last."""

    def admit(self, authorization: str | None, access: Access) -> str:
        """Return the key of `Basic <key>`; raises `ApiError` 401 when unknown, 403 when its role is too low."""
        scheme, _, key = (authorization or "").partition(" ")
        role = self.roles.get(key)
        if scheme != "Basic" or role is None:
            raise ApiError(401, "unauthorized", UNAUTHORIZED)
        if role not in access.value:
            raise ApiError(403, "forbidden", FORBIDDEN)
        return key

    def change(self, key: str, role: Role | None) -> None:
        """Give the key this role; None revokes it."""
        if role is None:
            self.roles.pop(key, None)
        else:
            self.roles[key] = self.known[key] = role
