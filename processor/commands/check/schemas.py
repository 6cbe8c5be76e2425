"""The checks of where schemas come from: the registry, and AWS Glue."""

import asyncio
from uuid import UUID

from processor.adapters.schemas.registry import RegistrySchemas
from processor.commands.check import findings
from processor.commands.check.checklist import Checklist
from processor.commands.check.findings import Found
from processor.events.framing import GlueId
from processor.model.errors import RegistryUnavailableError
from processor.runtime.ports import Schemas

MODES = {"READONLY": findings.REGISTRY_READONLY, "IMPORT": findings.REGISTRY_IMPORT}
"""How the modes begin in which a registry does not take every schema."""

NO_VERSION = GlueId(UUID(int=0))
"""Of nobody's schema: that Glue knows no such version shows that versions may be read."""


async def check_glue(checklist: Checklist, schemas: Schemas) -> bool:
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


async def check_registry(checklist: Checklist, registry: RegistrySchemas | None) -> bool:
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
