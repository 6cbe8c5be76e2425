"""The checks, side by side and within one time: what does not answer holds up nothing but what rests on it."""

import asyncio
import time
from collections.abc import Sequence
from uuid import UUID

from processor.adapters.schemas.registry import RegistrySchemas
from processor.app.parts import registry_of, schemas_of
from processor.commands.check import findings
from processor.commands.check.checklist import Checklist
from processor.commands.check.cluster import check_kafka
from processor.commands.check.destination import check_fullstory
from processor.commands.check.findings import Found
from processor.commands.check.group_probe import probe_group
from processor.commands.check.survey import check_records
from processor.events.framing import GlueId
from processor.model.errors import RegistryUnavailableError
from processor.runtime.ports import Schemas
from processor.settings import Settings

MODES = {"READONLY": findings.REGISTRY_READONLY, "IMPORT": findings.REGISTRY_IMPORT}
"""How the modes begin in which a registry does not take every schema."""

NO_VERSION = GlueId(UUID(int=0))
"""Of nobody's schema: that Glue knows no such version shows that versions may be read."""

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
                _check_registry(checklist, client),
                _check_glue(checklist, schemas),
                check_fullstory(checklist, probes=probes),
            )
            if sample is not None and has_registry and has_glue:
                await check_records(checklist, sample, schemas)
            if probes_group and sample is not None:
                checklist.add(await asyncio.to_thread(list, probe_group(settings)))
    return checklist.end()


async def _check_glue(checklist: Checklist, schemas: Schemas) -> bool:
    """Check that schemas can be had of Glue, where its region is set; return whether they can."""
    region, within_s = checklist.settings.schema_registry.glue_region, checklist.left_s()
    if region is None:
        return True
    found = Found(findings.GLUE_REACHED, f"AWS Glue in {region}")
    try:
        async with asyncio.timeout(within_s):
            await schemas.fetch(NO_VERSION)
    except RegistryUnavailableError as error:
        found = Found(findings.of_schemas(error), str(error))
    except TimeoutError:
        seen = f"AWS Glue in {region} did not answer within {within_s:.1f} s"
        found = Found(findings.GLUE_UNREACHABLE, seen)
    checklist.add([found])
    return found.finding is findings.GLUE_REACHED


async def _check_registry(checklist: Checklist, registry: RegistrySchemas | None) -> bool:
    """Check that schemas can be had; return whether they can."""
    if registry is None:
        if checklist.settings.schema_registry.glue_region is None:
            checklist.add([Found(findings.REGISTRY_NONE, "")])
        return True
    within_s = checklist.left_s()
    try:
        async with asyncio.timeout(within_s):
            sight = await registry.look()
    except RegistryUnavailableError as error:
        checklist.add([Found(findings.REGISTRY_UNREACHABLE, str(error))])
        return False
    except TimeoutError:
        seen = f"the schema registry at {registry.address} did not answer within {within_s:.1f} s"
        checklist.add([Found(findings.REGISTRY_UNREACHABLE, seen)])
        return False
    found = [Found(findings.REGISTRY_REACHED, registry.address)]
    if sight.has_subjects is False:
        found = [Found(findings.REGISTRY_EMPTY, registry.address)]
    finding = next((each for mode, each in MODES.items() if (sight.mode or "").startswith(mode)), None)
    if finding is not None:
        found.append(Found(finding, f"{registry.address} is in mode {(sight.mode or '')[:40]!a}"))
    checklist.add(found)
    return True
