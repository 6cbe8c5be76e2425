"""How an event becomes an item."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, final, get_args

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationInfo, field_validator

from processor.cli.settings import checks
from processor.cli.settings.definitions import About, Group, Line, Word
from processor.events.context import FIELDS, PARTS
from processor.events.privacy import PropertyLists
from processor.events.rules import (
    Anonymous,
    Integrations,
    MappingRules,
    MessageType,
    Names,
    Nulls,
    SchemaRule,
    Session,
)

_RULES = MappingRules()
_EVENTS = frozenset({"track", "page", "screen"})
_LISTS = ("allow", "deny", "hash", "truncate")

_List = Annotated[tuple[Line, ...], BeforeValidator(checks.comma_list), AfterValidator(checks.distinct)]


def _message_types(names: Any) -> Any:
    return checks.members(checks.comma_list(names), get_args(MessageType))


@final
class Mapping(Group):
    """How an event becomes an item; [the mapping](mapping.md) shows it by example. Lists are separated by commas."""

    message_types: Annotated[
        tuple[MessageType, ...],
        BeforeValidator(_message_types),
        AfterValidator(checks.distinct),
        Field(min_length=1),
        About(
            "Segment's message types that are forwarded: `identify`, `track`, `page`, `screen`. A page or screen "
            "becomes an event.",
            "FullStory's browser and mobile clients see pages and screens themselves, and every event counts.",
            "identify,track,screen",
        ),
    ] = _RULES.message_types
    anonymous: Annotated[
        Anonymous,
        Word,
        About(
            "Messages without a `userId`: `uid` makes the `anonymousId` the user's id. `property` sends them without a "
            "user, with the property `segmentAnonymousId`. `filter` forwards none.",
            "A visitor's events stay together. Where browsers record sessions, `property` is wiser: there the same "
            "visitor has another id.",
            "property",
        ),
    ] = _RULES.anonymous
    names: Annotated[
        Names,
        Word,
        About(
            "Characters that FullStory takes in no name: `segment` deletes them, `underscore` puts `_` in their place.",
            "As Segment's own cloud destination does.",
            "underscore",
        ),
    ] = _RULES.names
    schema_: Annotated[
        SchemaRule,
        Word,
        Field(alias="schema"),
        About(
            "`declare`: say of whole numbers and times that they are. `infer`: leave types to FullStory.",
            "FullStory would take every number for a real, and a time for a text.",
            "infer",
        ),
    ] = _RULES.schema
    nulls: Annotated[
        Nulls,
        Word,
        About(
            "Properties that are null: `omit` or `send` them.",
            "FullStory does not document whether a null clears a property.",
            "send",
        ),
    ] = _RULES.nulls
    session: Annotated[
        Session,
        Word,
        About(
            "`most_recent`: events join the latest session of their user, if it is not older than 30 minutes. A "
            "message may choose by itself, in `integrations.FullStory`.",
            "Kafka may run behind; an event belongs to its user in any case.",
            "most_recent",
        ),
    ] = _RULES.session
    context: Annotated[
        bool,
        About(
            "Whether page, user agent, app, device, screen, location and IP address of an event are sent.",
            "FullStory has fields of its own for them.",
            "false",
        ),
    ] = _RULES.context
    context_deny: Annotated[
        _List,
        About(
            "What of Segment's context is not sent: fields or whole parts of it, by their paths.",
            "Everything is sent.",
            "ip,location,page.url",
            default="none",
        ),
    ] = _RULES.context_deny
    integrations: Annotated[
        Integrations,
        Word,
        About(
            "`honour`: a message that its `integrations` object keeps from FullStory is not sent. `ignore`: it is.",
            "As in Segment.",
            "ignore",
        ),
    ] = _RULES.integrations
    integration_names: Annotated[
        _List,
        Field(min_length=1),
        About(
            "Names under which a message's `integrations` object speaks of FullStory; case matters.",
            "The names of Segment's own FullStory destinations.",
            "FullStory,Fullstory (Actions)",
        ),
    ] = _RULES.integration_names
    events_allow: Annotated[
        _List,
        About(
            "Event names that are forwarded, all others are not. `*`, `?` and `[…]` stand for characters.",
            "Everything is forwarded.",
            "Order *,Signed Up",
            default="all",
        ),
    ] = ()
    events_deny: Annotated[
        _List,
        About(
            "Event names that are not forwarded, whatever allows them.",
            "Everything is forwarded.",
            "Heartbeat,Debug *",
            default="none",
        ),
    ] = ()
    libraries_allow: Annotated[
        _List,
        About(
            "Names in `context.library.name` whose messages are forwarded, all others are not; globs as for events.",
            "Everything is forwarded.",
            "analytics-*",
            default="all",
        ),
    ] = ()
    libraries_deny: Annotated[
        _List,
        About(
            "Names in `context.library.name` whose messages are not forwarded, whatever allows them.",
            "Everything is forwarded.",
            "analytics.js",
            default="none",
        ),
    ] = ()
    traits_allow: Annotated[
        _List,
        About(
            "Traits that are sent, all others are not; dotted paths, as `address.city`.",
            "Everything is sent.",
            "email,plan,address.city",
            default="all",
        ),
    ] = ()
    traits_deny: Annotated[
        _List, About("Traits that are never sent.", "Everything is sent.", "ssn,address.street", default="none")
    ] = ()
    traits_hash: Annotated[
        _List, About("Traits of which only a hash is sent.", "Everything is sent.", "phone", default="none")
    ] = ()
    traits_truncate: Annotated[
        _List,
        About(
            "Traits of which only the first characters are sent, each with their number.",
            "Everything is sent.",
            "postcode:3,bio:200",
            default="none",
        ),
    ] = ()
    properties_allow: Annotated[
        _List,
        About(
            "As for traits, for the properties of events.", "Everything is sent.", "price,products.sku", default="all"
        ),
    ] = ()
    properties_deny: Annotated[
        _List,
        About("As for traits, for the properties of events.", "Everything is sent.", "card.number", default="none"),
    ] = ()
    properties_hash: Annotated[
        _List,
        About("As for traits, for the properties of events.", "Everything is sent.", "order_ID", default="none"),
    ] = ()
    properties_truncate: Annotated[
        _List,
        About("As for traits, for the properties of events.", "Everything is sent.", "comment:500", default="none"),
    ] = ()
    hash_salt_file: Annotated[
        Annotated[Path, AfterValidator(partial(checks.readable, read=checks.read_salt))] | None,
        About(
            "File that holds the secret that hashes are keyed with, as a mounted secret does.",
            "The salt may be given directly.",
            "/run/secrets/hash-salt",
            default="none",
        ),
    ] = None
    hash_salt: Annotated[
        SecretStr,
        About(
            "Secret that hashes are keyed with; at least 16 characters. Without it anybody can find out a phone number "
            "by hashing all of them.",
            "Plain SHA-256 is what other systems can compute too.",
            "correct-horse-battery-staple",
            default="none",
        ),
        Field(validate_default=True),
    ] = SecretStr("")

    @field_validator("traits_truncate", "properties_truncate")
    @classmethod
    def _have_lengths(cls, entries: tuple[str, ...]) -> tuple[str, ...]:
        checks.lengths(entries)
        return entries

    @field_validator("context_deny")
    @classmethod
    def _are_sent_otherwise(cls, entries: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if entries and not info.data.get("context", True):
            raise ValueError(
                "has no effect, because PROCESSOR_MAPPING__CONTEXT is false: remove it, or set that to true"
            )
        if entries:
            _need_type(info, _EVENTS)
        if unknown := [each for each in entries if each not in (*FIELDS, *PARTS)]:
            raise ValueError(f"lists `{unknown[0]}`, which is never sent; these are: {', '.join(FIELDS)}")
        return entries

    @field_validator("session")
    @classmethod
    def _has_events(cls, session: Session, info: ValidationInfo) -> Session:
        if session == "most_recent":
            _need_type(info, _EVENTS)
        return session

    @field_validator(
        *("events_allow", "events_deny", "libraries_deny"),
        *(f"{kind}_{each}" for kind in ("traits", "properties") for each in _LISTS),
    )
    @classmethod
    def _agrees(cls, entries: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        """Refuse a list without effect, and an entry that contradicts one of the lists before it."""
        kind, _, name = (info.field_name or "").partition("_")
        if entries and kind != "libraries":
            _need_type(info, frozenset({"identify"}) if kind == "traits" else _EVENTS)
        for earlier in _LISTS[: _LISTS.index(name)]:
            others = _paths(earlier, info.data.get(f"{kind}_{earlier}", ()))
            for entry in _paths(name, entries):
                if any(_clash(earlier, other, name, entry) for other in others):
                    variable = f"PROCESSOR_MAPPING__{kind}_{earlier}".upper()
                    raise ValueError(f"`{entry}` contradicts an entry of {variable}: remove one of them")
        return entries

    @field_validator("hash_salt")
    @classmethod
    def _one_salt(cls, salt: SecretStr, info: ValidationInfo) -> SecretStr:
        path, given = info.data.get("hash_salt_file"), salt.get_secret_value()
        checks.not_both(given, path, "PROCESSOR_MAPPING__HASH_SALT_FILE")
        if not given and path is None:
            return salt
        if not (info.data.get("traits_hash", True) or info.data.get("properties_hash", True)):
            raise ValueError(
                "has no effect, because nothing is hashed: list what to hash in PROCESSOR_MAPPING__TRAITS_HASH or "
                "PROCESSOR_MAPPING__PROPERTIES_HASH, or remove the salt"
            )
        return SecretStr(checks.salt(given) if path is None else checks.read_salt(path))

    def rules(self) -> MappingRules:
        """Return what mapping needs, the salt included."""
        return MappingRules(
            integration_names=self.integration_names,
            integrations=self.integrations,
            message_types=self.message_types,
            anonymous=self.anonymous,
            names=self.names,
            schema=self.schema_,
            nulls=self.nulls,
            session=self.session,
            context=self.context,
            context_deny=self.context_deny,
            events_allow=self.events_allow,
            events_deny=self.events_deny,
            libraries_allow=self.libraries_allow,
            libraries_deny=self.libraries_deny,
            traits=PropertyLists(
                self.traits_allow, self.traits_deny, self.traits_hash, checks.lengths(self.traits_truncate)
            ),
            properties=PropertyLists(
                self.properties_allow,
                self.properties_deny,
                self.properties_hash,
                checks.lengths(self.properties_truncate),
            ),
            hash_salt=self.hash_salt.get_secret_value(),
        )


def _need_type(info: ValidationInfo, types: frozenset[str]) -> None:
    forwarded = info.data.get("message_types", types)
    if types.isdisjoint(forwarded):
        wanted = " or ".join(sorted(types))
        raise ValueError(f"has no effect, because PROCESSOR_MAPPING__MESSAGE_TYPES does not include {wanted}")


def _paths(name: str, entries: Sequence[str]) -> list[str]:
    return [path for path, _ in checks.lengths(entries)] if name == "truncate" else list(entries)


def _clash(earlier: str, other: str, name: str, entry: str) -> bool:
    """Say whether two entries of lists of one kind cannot both take effect; a path holds for all below it."""
    if earlier == "allow":
        return other.startswith(f"{entry}.") or (name == "deny" and other == entry)
    return other == entry or other.startswith(f"{entry}.") or entry.startswith(f"{other}.")
