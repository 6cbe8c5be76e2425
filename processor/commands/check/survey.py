"""The check of records: what becomes of a sample of them, and what that says of the settings and of the producer."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import orjson

from processor.commands.check import findings
from processor.commands.check.checklist import RECORDS, Checklist
from processor.commands.check.findings import Found
from processor.commands.common.explanation import Explainer, Explanation, Input
from processor.engine.dead_letter_ratio import are_too_many
from processor.events.consent import read_preferences
from processor.events.context import library_of
from processor.events.mapping import Mapping as EventMapping
from processor.events.mapping import MappingRules
from processor.model.errors import RegistryUnavailableError
from processor.model.outcomes import Event
from processor.model.records import Record, TopicPartition
from processor.runtime.ports import Schemas

BROWSER_LIBRARIES = frozenset({"analytics.js", "RudderLabs JavaScript SDK"})
BROWSER_CHANNELS = frozenset({"browser", "web"})
SHOWN_CATEGORIES = 10
TELLING_RECORDS = 100
"""A sample of so many shows what becomes of those that the worker judges by."""


async def check_records(checklist: Checklist, sample: Mapping[TopicPartition, list[Record]], schemas: Schemas) -> None:
    """Check what becomes of the sample, or of as much of it as there is time for."""
    settings, survey = checklist.settings, Survey()
    explainer = Explainer(EventMapping(settings.mapping.rules()), schemas, settings.schema_registry.waits_s)
    try:
        async with asyncio.timeout(checklist.left_s()):
            for partition, records in sample.items():
                for record in records:
                    survey.add(partition, await explainer.explain(Input(str(partition), record)))
                    await asyncio.sleep(0)
    except RegistryUnavailableError as error:
        checklist.add([Found(findings.of_schemas(error), str(error))])
        return
    except TimeoutError:
        if not survey.records:
            return
    checklist.add(survey.findings(settings.mapping.rules(), settings.delivery.dead_letter_ratio), RECORDS)


@final
@dataclass(slots=True)
class Survey:
    """Counts what becomes of records; keeps ids of users only to compare them."""

    records: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    rules: Counter[str] = field(default_factory=Counter)
    partitions: dict[tuple[str, str], set[int]] = field(default_factory=lambda: defaultdict(set))
    anonymous_in_browser: int = 0
    without_library: int = 0
    numbers: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Which types of number each trait or property had: `int`, which is declared, or `real`."""
    browser_integers: set[str] = field(default_factory=set)
    with_consent: int = 0
    """Records that state what their users consent to."""
    categories: set[str] = field(default_factory=set)
    """Those that they name."""

    def add(self, partition: TopicPartition, explanation: Explanation) -> None:
        """Count a record."""
        self.records += 1
        self.outcomes[explanation.outcome] += 1
        if explanation.reason is not None:
            self.reasons[explanation.outcome][explanation.reason] += 1
        else:
            self.rules.update({note.rule for note in explanation.notes})
        event = explanation.event
        if event is not None:
            self.without_library += library_of(event) is None
        is_browsers = event is not None and _is_browsers(event)
        for request in explanation.requests:
            body = orjson.loads(request.body)
            if (uid := _uid(body)) is not None:
                self.partitions[partition.topic, uid].add(partition.partition)
            for name, kind in _numbers(body):
                self.numbers[name].add(kind)
                if kind == "int" and is_browsers:
                    self.browser_integers.add(name)
        if event is not None and explanation.requests:
            self.anonymous_in_browser += is_browsers and not event.get("userId")
        if event is not None and (found := read_preferences(event.get("context"))) is not None:
            self.with_consent += 1
            self.categories.update(found)

    def findings(self, mapping: MappingRules, dead_letter_ratio: float) -> Iterator[Found]:
        """Say what the counts mean under these rules, and with this limit to dead letters."""
        if not self.records:
            yield Found(findings.RECORDS_NONE, "no record in any partition")
            return
        counts = ", ".join(map(self._count, ("delivered", "filtered", "dead-lettered")))
        rules = f"; rules applied: {_counts(self.rules)}" if self.rules else ""
        yield Found(findings.RECORDS_SAMPLED, f"{self.records} records: {counts}{rules}")
        if self.outcomes["filtered"] * 2 > self.records:
            yield Found(findings.RECORDS_MOSTLY_FILTERED, self._share("filtered"))
        if letters := self.outcomes["dead-lettered"]:
            halts = self.records >= TELLING_RECORDS and are_too_many(letters, self.records, dead_letter_ratio)
            yield Found(
                findings.RECORDS_WOULD_HALT if halts else findings.RECORDS_REJECTED, self._share("dead-lettered")
            )
        if spread := sum(len(each) > 1 for each in self.partitions.values()):
            yield Found(findings.RECORDS_USER_SPREAD, f"{spread} of {len(self.partitions)} users")
        if self.anonymous_in_browser and mapping.anonymous == "uid":
            yield Found(findings.RECORDS_ANONYMOUS_BROWSER, f"{self.anonymous_in_browser} of {self.records} records")
        if mixed := sorted(name for name, kinds in self.numbers.items() if len(kinds) > 1):
            yield Found(findings.RECORDS_TYPE_CONFLICT, _some(mixed))
        if self.browser_integers:
            yield Found(findings.RECORDS_BROWSER_INTEGERS, _some(sorted(self.browser_integers)))
        if self.without_library and (mapping.libraries_allow or mapping.libraries_deny):
            yield Found(findings.RECORDS_NO_LIBRARY, f"{self.without_library} of {self.records} records")
        if self.with_consent and not mapping.consent:
            names = ", ".join(sorted(self.categories)[:SHOWN_CATEGORIES]) or "none"
            yield Found(
                findings.RECORDS_CONSENT_IGNORED,
                f"{self.with_consent} of {self.records} records, with the categories: {names}",
            )

    def _count(self, outcome: str) -> str:
        reasons = f" ({_counts(self.reasons[outcome])})" if outcome in self.reasons else ""
        return f"{outcome} {self.outcomes[outcome]}{reasons}"

    def _share(self, outcome: str) -> str:
        return f"{self.outcomes[outcome]} of {self.records} records: {_counts(self.reasons[outcome])}"


def _counts(counter: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(counter.items(), key=lambda each: -each[1]))


def _uid(body: Mapping[str, Any]) -> str | None:
    """Return whose item it is; None where it names a session."""
    user = body.get("user")
    found = user.get("uid") if isinstance(user, dict) else body.get("uid")
    return found if isinstance(found, str) else None


def _numbers(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the name of each number of an item, and whether it is declared to be whole or is a real."""
    what = "property" if "name" in body else "trait"
    declared = body.get("schema", {}).get("properties", {})
    for path, kind in declared.items():
        if kind in ("int", "ints"):
            yield f"{what} {path}", "int"
    for path, value in _ends(body.get("properties", {}), ""):
        if any(type(each) is float for each in (value if type(value) is list else [value])):
            yield f"{what} {path}", "real"


def _ends(properties: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    for name, value in properties.items():
        if type(value) is dict:
            yield from _ends(value, f"{path}{name}.")
        else:
            yield path + name, value


_SHOWN = 5


def _some(names: Sequence[str]) -> str:
    """Return the first of the names, and how many more there are."""
    rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{rest}"


def _is_browsers(event: Event) -> bool:
    channel = event.get("channel")
    return library_of(event) in BROWSER_LIBRARIES or (isinstance(channel, str) and channel in BROWSER_CHANNELS)
