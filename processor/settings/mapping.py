"""How an event becomes an item."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, final, get_args

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationInfo, field_validator

from processor.events.consent import ConsentRule
from processor.events.context import FIELDS, PARTS
from processor.events.privacy import PropertyLists
from processor.events.rules import (
    Anonymous,
    Integrations,
    MappingRules,
    MessageSource,
    MessageType,
    Names,
    Nulls,
    SchemaRule,
    Session,
)
from processor.settings import validators
from processor.settings.definitions import About, OneLine, Section, Word

_RULES = MappingRules()
_EVENTS = frozenset({"track", "page", "screen"})
_LISTS = ("allow", "deny", "hash", "truncate")

_List = Annotated[tuple[OneLine, ...], BeforeValidator(validators.comma_list), AfterValidator(validators.distinct)]


def _message_types(names: Any) -> Any:
    return validators.members(validators.comma_list(names), get_args(MessageType))


def _categories(names: Any) -> Any:
    given = validators.comma_list(names)
    return [] if given == ["none"] else given


@final
class MappingSection(Section):
    """How Segment messages map to FullStory, shown by example in [Mapping](mapping.md). Separate lists by commas."""

    source: Annotated[
        MessageSource,
        Word,
        About(
            "Whose messages these are. `rudderstack` also looks for traits, users, sessions and locations where "
            "RudderStack's FullStory destination does.",
            "RudderStack writes messages like Segment's, but its destination reads them otherwise.",
            "rudderstack",
        ),
    ] = _RULES.source
    message_types: Annotated[
        tuple[MessageType, ...],
        BeforeValidator(_message_types),
        AfterValidator(validators.distinct),
        Field(min_length=1),
        About(
            "Segment message types to forward: `identify`, `track`, `page`, `screen`, `delete`. A page or screen "
            "becomes an event. A `delete` deletes the user, if the key is of level Architect.",
            "FullStory's browser and mobile clients record pages and screens themselves, and every event counts.",
            "identify,track,screen",
        ),
    ] = _RULES.message_types
    anonymous: Annotated[
        Anonymous,
        Word,
        About(
            "Messages without a `userId`: `uid` uses the `anonymousId` as the user's id. `property` sends them without "
            "a user, with the property `segmentAnonymousId`. `filter` drops them.",
            "The events of a visitor stay together. If browsers record sessions, prefer `property`, because the same "
            "visitor has another id there.",
            "property",
        ),
    ] = _RULES.anonymous
    junk_ids: Annotated[
        _List,
        About(
            "Ids that are nobody's, also in lower or upper case or capitalised. Such an id counts as absent. A message "
            "without any other is dropped.",
            "What languages print of nothing, and names of nobody: each would be one user made of thousands.",
            "undefined,null,0",
        ),
    ] = _RULES.junk_ids
    names: Annotated[
        Names,
        Word,
        About(
            "Characters that FullStory does not allow in names: `segment` deletes them, `underscore` writes `_`.",
            "The same as Segment's own cloud destination.",
            "underscore",
        ),
    ] = _RULES.names
    schema_: Annotated[
        SchemaRule,
        Word,
        Field(alias="schema"),
        About(
            "`declare` tells FullStory which values are integers and dates. `infer` lets FullStory infer the types. If "
            "browsers give FullStory's snippet the same numbers, which takes them for reals, choose `infer`.",
            "FullStory infers a real from every number and a string from a date.",
            "infer",
        ),
    ] = _RULES.schema
    nulls: Annotated[
        Nulls,
        Word,
        About(
            "Properties that are null: `omit` them or `send` them.",
            "FullStory does not document whether a null clears a property.",
            "send",
        ),
    ] = _RULES.nulls
    session: Annotated[
        Session,
        Word,
        About(
            "`most_recent` adds events to the latest session of their user, unless it is older than 30 minutes. `none` "
            "does not. A message can choose itself, in `integrations.FullStory`.",
            "Kafka may lag behind, and an event belongs to its user in any case.",
            "most_recent",
        ),
    ] = _RULES.session
    context: Annotated[
        bool,
        About(
            "Whether to send page, user agent, app, device, screen, location and IP address of an event.",
            "FullStory has its own fields for them.",
            "false",
        ),
    ] = _RULES.context
    context_deny: Annotated[
        _List,
        About(
            "Parts of the context not to send, as paths of fields or of whole objects.",
            "Everything is sent.",
            "ip,location,page.url",
            default="none",
        ),
    ] = _RULES.context_deny
    integrations: Annotated[
        Integrations,
        Word,
        About(
            "`honour` drops messages whose `integrations` object excludes FullStory. `ignore` sends them.",
            "The same as in Segment.",
            "ignore",
        ),
    ] = _RULES.integrations
    integration_names: Annotated[
        _List,
        Field(min_length=1),
        About(
            "Names of FullStory in the `integrations` object of a message. Case matters.",
            "The names of Segment's own FullStory destinations.",
            "FullStory,Fullstory (Actions)",
        ),
    ] = _RULES.integration_names
    consent: Annotated[
        tuple[OneLine, ...],
        BeforeValidator(_categories),
        AfterValidator(validators.distinct),
        About(
            "Categories of consent that FullStory belongs to, by their ids. Messages that state the user's consent "
            "(`context.consent`), and none to these, are dropped. `none` forwards them.",
            "Only you know your categories. `check` warns if messages state consent.",
            "Analytics,Functional",
            default="none",
        ),
    ] = _RULES.consent
    consent_rule: Annotated[
        ConsentRule,
        Word,
        About(
            "Whether the user must consent to `all` of these categories, or to `any` one.",
            "The same as in Segment.",
            "any",
        ),
    ] = _RULES.consent_rule
    events_allow: Annotated[
        _List,
        About(
            "Names of events to forward. Others are dropped. `*`, `?` and `[…]` are wildcards.",
            "Everything is forwarded.",
            "Order *,Signed Up",
            default="all",
        ),
    ] = ()
    events_deny: Annotated[
        _List,
        About(
            "Names of events to drop, even if they are allowed.",
            "Everything is forwarded.",
            "Heartbeat,Debug *",
            default="none",
        ),
    ] = ()
    libraries_allow: Annotated[
        _List,
        About(
            "Names in `context.library.name` whose messages to forward. Others are dropped, and so are those without a "
            "name, such as those of Segment's libraries for Go, Java and Rust. Wildcards as for events.",
            "Everything is forwarded.",
            "analytics-*",
            default="all",
        ),
    ] = ()
    libraries_deny: Annotated[
        _List,
        About(
            "Names in `context.library.name` whose messages to drop, even if they are allowed. Messages without a name "
            "are not dropped.",
            "Everything is forwarded.",
            "analytics.js",
            default="none",
        ),
    ] = ()
    traits_allow: Annotated[
        _List,
        About(
            "Traits to send, as paths such as `address.city`. Others are not sent.",
            "Everything is sent.",
            "email,plan,address.city",
            default="all",
        ),
    ] = ()
    traits_deny: Annotated[
        _List, About("Traits not to send.", "Everything is sent.", "ssn,address.street", default="none")
    ] = ()
    traits_hash: Annotated[
        _List, About("Traits to send as a hash only.", "Everything is sent.", "phone", default="none")
    ] = ()
    traits_truncate: Annotated[
        _List,
        About(
            "Traits to shorten, as PATH:CHARACTERS: only so many of the first characters are sent.",
            "Everything is sent.",
            "postcode:3,bio:200",
            default="none",
        ),
    ] = ()
    properties_allow: Annotated[
        _List,
        About(
            "Properties of events to send, as for traits.", "Everything is sent.", "price,products.sku", default="all"
        ),
    ] = ()
    properties_deny: Annotated[
        _List,
        About("Properties of events not to send.", "Everything is sent.", "card.number", default="none"),
    ] = ()
    properties_hash: Annotated[
        _List,
        About("Properties of events to send as a hash only.", "Everything is sent.", "order_ID", default="none"),
    ] = ()
    properties_truncate: Annotated[
        _List,
        About("Properties of events to shorten, as for traits.", "Everything is sent.", "comment:500", default="none"),
    ] = ()
    hash_salt_file: Annotated[
        Annotated[Path, AfterValidator(partial(validators.readable, read=validators.read_salt))] | None,
        About(
            "File that contains the salt, such as a mounted secret.",
            "You can set the salt directly instead.",
            "/run/secrets/hash-salt",
            default="none",
        ),
    ] = None
    hash_salt: Annotated[
        SecretStr,
        About(
            "Secret key of the hashes, at least 16 characters. Without it, anyone can recover a phone number by "
            "hashing all of them.",
            "Other systems can compute plain SHA-256 as well.",
            "correct-horse-battery-staple",
            default="none",
        ),
        Field(validate_default=True),
    ] = SecretStr("")

    @field_validator("traits_truncate", "properties_truncate")
    @classmethod
    def _have_lengths(cls, entries: tuple[str, ...]) -> tuple[str, ...]:
        validators.lengths(entries)
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

    @field_validator("consent_rule")
    @classmethod
    def _has_categories(cls, rule: ConsentRule, info: ValidationInfo) -> ConsentRule:
        if rule != _RULES.consent_rule and not info.data.get("consent", True):
            raise ValueError("has no effect, because PROCESSOR_MAPPING__CONSENT lists no category")
        return rule

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
        validators.not_both(given, path, "PROCESSOR_MAPPING__HASH_SALT_FILE")
        if not given and path is None:
            return salt
        if not (info.data.get("traits_hash", True) or info.data.get("properties_hash", True)):
            raise ValueError(
                "has no effect, because nothing is hashed: list what to hash in PROCESSOR_MAPPING__TRAITS_HASH or "
                "PROCESSOR_MAPPING__PROPERTIES_HASH, or remove the salt"
            )
        return SecretStr(validators.salt(given) if path is None else validators.read_salt(path))

    def rules(self) -> MappingRules:
        """Return what mapping needs, the salt included."""
        return MappingRules(
            source=self.source,
            integration_names=self.integration_names,
            integrations=self.integrations,
            consent=self.consent,
            consent_rule=self.consent_rule,
            message_types=self.message_types,
            anonymous=self.anonymous,
            junk_ids=self.junk_ids,
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
                self.traits_allow, self.traits_deny, self.traits_hash, validators.lengths(self.traits_truncate)
            ),
            properties=PropertyLists(
                self.properties_allow,
                self.properties_deny,
                self.properties_hash,
                validators.lengths(self.properties_truncate),
            ),
            hash_salt=self.hash_salt.get_secret_value(),
        )


def _need_type(info: ValidationInfo, types: frozenset[str]) -> None:
    forwarded = info.data.get("message_types", types)
    if types.isdisjoint(forwarded):
        wanted = " or ".join(sorted(types))
        raise ValueError(f"has no effect, because PROCESSOR_MAPPING__MESSAGE_TYPES does not include {wanted}")


def _paths(name: str, entries: Sequence[str]) -> list[str]:
    return [path for path, _ in validators.lengths(entries)] if name == "truncate" else list(entries)


def _clash(earlier: str, other: str, name: str, entry: str) -> bool:
    """Say whether two entries of lists of one kind cannot both take effect; a path holds for all below it."""
    if earlier == "allow":
        return other.startswith(f"{entry}.") or (name == "deny" and other == entry)
    return other == entry or other.startswith(f"{entry}.") or entry.startswith(f"{other}.")
