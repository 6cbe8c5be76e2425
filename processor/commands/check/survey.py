"""The check of records: what becomes of a sample of them, and what that says of the settings and of the producer."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, final

import orjson

from processor.commands.check import findings
from processor.commands.check.checklist import RECORDS, Checklist
from processor.commands.check.findings import Found
from processor.commands.common.explanation import Explainer, Explanation, Input
from processor.events.json_text import parse_json
from processor.events.mapping import Mapping as EventMapping
from processor.model.errors import RegistryUnavailableError
from processor.model.outcomes import Event
from processor.model.records import Record, TopicPartition
from processor.runtime.ports import Schemas

BROWSER_LIBRARIES = frozenset({"analytics.js", "RudderLabs JavaScript SDK"})
BROWSER_CHANNELS = frozenset({"browser", "web"})


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
        is_login = error.is_of_one_schema
        checklist.add([Found(findings.REGISTRY_FORBIDDEN if is_login else findings.REGISTRY_UNREACHABLE, str(error))])
        return
    except TimeoutError:
        if not survey.records:
            return
    checklist.add(survey.findings(is_anonymous_a_user=settings.mapping.anonymous == "uid"), RECORDS)


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

    def add(self, partition: TopicPartition, explanation: Explanation) -> None:
        """Count a record."""
        self.records += 1
        self.outcomes[explanation.outcome] += 1
        if explanation.reason is not None:
            self.reasons[explanation.outcome][explanation.reason] += 1
        else:
            self.rules.update({note.rule for note in explanation.notes})
        for request in explanation.requests:
            if (uid := _uid(orjson.loads(request.body))) is not None:
                self.partitions[partition.topic, uid].add(partition.partition)
        if explanation.event is not None and explanation.requests:
            self.anonymous_in_browser += _is_anonymous_in_browser(explanation.event)

    def findings(self, *, is_anonymous_a_user: bool) -> Iterator[Found]:
        """Say what the counts mean."""
        if not self.records:
            yield Found(findings.RECORDS_NONE, "no record in any partition")
            return
        counts = ", ".join(map(self._count, ("delivered", "filtered", "dead-lettered")))
        rules = f"; rules applied: {_counts(self.rules)}" if self.rules else ""
        yield Found(findings.RECORDS_SAMPLED, f"{self.records} records: {counts}{rules}")
        if self.outcomes["filtered"] * 2 > self.records:
            yield Found(findings.RECORDS_MOSTLY_FILTERED, self._share("filtered"))
        if self.outcomes["dead-lettered"]:
            yield Found(findings.RECORDS_REJECTED, self._share("dead-lettered"))
        if spread := sum(len(each) > 1 for each in self.partitions.values()):
            yield Found(findings.RECORDS_USER_SPREAD, f"{spread} of {len(self.partitions)} users")
        if self.anonymous_in_browser and is_anonymous_a_user:
            yield Found(findings.RECORDS_ANONYMOUS_BROWSER, f"{self.anonymous_in_browser} of {self.records} records")

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


def _is_anonymous_in_browser(event: Event) -> bool:
    if event.get("userId"):
        return False
    context = event.get("context")
    context = parse_json(context) if isinstance(context, str) else context
    library = context.get("library") if isinstance(context, dict) else None
    name = library.get("name") if isinstance(library, dict) else None
    channel = event.get("channel")
    return (isinstance(name, str) and name in BROWSER_LIBRARIES) or (
        isinstance(channel, str) and channel in BROWSER_CHANNELS
    )
