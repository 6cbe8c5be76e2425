"""The checks, side by side and within one time: what does not answer holds up nothing but what rests on it."""

import asyncio
import time
from collections.abc import Sequence

from processor.app.parts import registry_of, schemas_of
from processor.commands.check.checklist import Checklist
from processor.commands.check.cluster import check_kafka
from processor.commands.check.destination import check_fullstory
from processor.commands.check.findings import Found
from processor.commands.check.group_probe import probe_group
from processor.commands.check.schemas import check_glue, check_registry
from processor.commands.check.survey import check_records
from processor.settings import Settings

WITHIN_S = 3.5
"""With the start of the program and its end: five."""


async def check_all(
    settings: Settings, *, probes: bool, probes_group: bool = False, within_s: float = WITHIN_S
) -> Sequence[Found]:
    """Check all that the worker needs, and return what is found, the worst first.

    `probes` allows to write to FullStory, and `probes_group` to Kafka, which take time of their own. Everything else
    ends within `within_s`, but threads of the loop's executor may go on waiting: for Kafka, or for a name server.
    """
    checklist = Checklist(settings, time.monotonic() + within_s)
    registry = settings.schema_registry.model_copy(update={"cache_dir": None})  # what is asked is the registry itself
    with checklist.reporting():
        async with registry_of(registry, settings.proxies) as client:
            schemas = schemas_of(registry, client)
            sample, has_registry, has_glue, _ = await asyncio.gather(
                check_kafka(checklist),
                check_registry(checklist, client),
                check_glue(checklist, schemas),
                check_fullstory(checklist, probes=probes),
            )
            if sample is not None and has_registry and has_glue:
                await check_records(checklist, sample, schemas)
            if probes_group and sample is not None:
                checklist.add(await asyncio.to_thread(list, probe_group(settings)))
    return checklist.end()
