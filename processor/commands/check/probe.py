"""Whether FullStory keeps its word on idempotency keys at the batch endpoints, asked by sending the same twice.

It writes: one user of a name of its own, and one event of that user, two where the key is not honoured. Neither counts
for anybody else, both can be deleted, and repeating the probe makes no second user.
"""

import secrets
from collections.abc import AsyncIterator

import orjson

from processor.commands.check import findings
from processor.commands.check.findings import Found
from processor.engine.verdict import Accepted, Answer, NoAnswer, of_post
from processor.events.timestamps import iso_of_ms
from processor.model.reasons import Kind
from processor.runtime.ports import Clock, Destination

UID = "segment-fullstory-idempotency-probe"
NAME = "Idempotency probe of segment-fullstory"


async def probe(destination: Destination, clock: Clock) -> AsyncIterator[Found]:
    """Send a batch of users and one of events, each twice under one key, and compare the answers."""
    event = {"name": NAME, "timestamp": iso_of_ms(round(clock.wall() * 1_000)), "user": {"uid": UID}, "properties": {}}
    items = {Kind.USER: {"uid": UID, "display_name": NAME, "properties": {}}, Kind.EVENT: event}
    for kind, item in items.items():
        body, key = orjson.dumps({"requests": [item]}), secrets.token_urlsafe()
        first, second = [_taken(await destination.post(kind, body, key, batch=True)) for _ in range(2)]
        where = f"POST /v2/{kind}s/batch"
        if not isinstance(first, Accepted) or not isinstance(second, Accepted):
            answers = [each if isinstance(each, str) else "a job" for each in (first, second)]
            yield Found(findings.PROBE_UNCLEAR, f"{where}: {answers[0]}, then {answers[1]}")
        elif first == second:
            yield Found(findings.PROBE_HONOURED, f"{where}: one job for two requests")
        else:
            yield Found(findings.PROBE_IGNORED, f"{where}: two jobs for one key")


def _taken(answer: Answer | NoAnswer) -> Accepted | str:
    """Return the job that a batch was taken into, or what came instead, without what the answer says."""
    verdict = of_post(answer, Kind.USER, batch=True)
    if isinstance(verdict, Accepted):
        return verdict
    return f"answer {answer.status}" if isinstance(answer, Answer) else answer.detail
