"""The settings in force: each with its value, as far as that may be shown, and with where it comes from."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal, final

from pydantic import SecretStr, ValidationError, ValidationInfo, create_model, field_validator
from pydantic.fields import FieldInfo

from processor.settings import surroundings
from processor.settings.client_properties import Properties, disclosed, reveal
from processor.settings.definitions import About, Section
from processor.settings.sources import DEFAULT, MASK, SECRET_FILES, Origin, Sources, masked
from processor.settings.variables import SURROUNDINGS_SECTION, Variable, plain, sections, variables

PROPERTIES, PROPERTIES_FILE = "properties", "properties_file"
Disclosure = Literal["shown", "masked", "invalid", "missing"]
STATES: dict[Disclosure, str] = {"masked": MASK, "invalid": "(not valid)", "missing": "(not set)"}
"""What stands in the place of a value that is not shown."""


@final
@dataclass(frozen=True, slots=True)
class Effective:
    """A setting, or one of the properties that a setting holds."""

    variable: Variable
    state: Disclosure
    origin: Origin
    value: Any = None
    """None where it is not shown, and where there is none."""
    entry: str | None = None
    """The name of the property, where this is one."""

    @property
    def is_changed(self) -> bool:
        """Whether this is not as it is by default; what is wrong or missing counts as changed."""
        if self.state in {"invalid", "missing"}:
            return True
        return self.origin != DEFAULT and (self.state == "masked" or self.value != self.variable.default)


def effective(sources: Sources) -> list[Effective]:
    """Return every setting, in order, whatever is wrong with some; no value among them is a secret."""
    values = sources.values()
    settings: list[Effective] = []
    secrets = sources.secrets()
    for name, section in sections().items():
        valid = _valid(section, values[name])
        secrets |= {each.get_secret_value() for each in valid.values() if isinstance(each, SecretStr)}
        for variable in (each for each in variables() if each.section == name):
            if variable.field == PROPERTIES and valid.get(PROPERTIES):
                without = {field: value for field, value in values[name].items() if field != PROPERTIES_FILE}
                own = _valid(section, without)[PROPERTIES]
                file = Origin("secret file", str(valid.get(PROPERTIES_FILE)))
                settings += _properties(variable, valid[PROPERTIES], own, sources.origin(variable), file)
            else:
                settings.append(_setting(variable, values[name], valid, sources.origin(variable)))
    settings += [_surrounding(*each) for each in surroundings.disclosed(sources.surroundings)]
    return [replace(each, state="masked", value=None) if _holds(each.value, secrets) else each for each in settings]


def _surrounding(name: str, value: str | None) -> Effective:
    about = About("A variable that other programs follow, too.", "Most networks need none.", "", default="none")
    info = FieldInfo(annotation=str)
    info.metadata.append(about)
    variable = Variable(SURROUNDINGS_SECTION, name, info)
    return Effective(variable, "invalid" if value is None else "shown", Origin("environment", name), value)


def _valid(section: type[Section], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a section that are valid, in their proper form, whatever is wrong with the others."""
    valid: dict[str, Any] = {}

    def keep(value: Any, info: ValidationInfo) -> Any:
        name = str(info.field_name)
        valid[section.model_fields[name].alias or name] = value
        return value

    watched = create_model(section.__name__, __base__=section, __validators__={"keep": field_validator("*")(keep)})
    with suppress(ValidationError):
        watched.model_validate(values)
    return valid


def _setting(variable: Variable, values: Mapping[str, Any], valid: Mapping[str, Any], origin: Origin) -> Effective:
    field = variable.field
    value = valid.get(field)
    if isinstance(value, SecretStr) and value.get_secret_value():
        is_in_file = origin == DEFAULT
        place = Origin("secret file", str(valid[SECRET_FILES[field]])) if is_in_file else origin
        return Effective(variable, "masked", place)
    if field in values and field not in valid:
        return Effective(variable, "invalid", origin)
    if field not in values and (variable.is_needed or origin != DEFAULT):
        return Effective(variable, "missing", origin)
    if field not in valid and variable.info.validate_default:
        return Effective(variable, "invalid", origin)
    return Effective(variable, "shown", origin, plain(value) if field in valid else variable.default)


def _properties(
    variable: Variable, properties: Properties, own: Properties, origin: Origin, file: Origin
) -> Iterator[Effective]:
    """Say of each property whether it is the setting's own, or of the file that holds more of them."""
    for name, value in reveal(properties).items():
        shown = disclosed(name, value)
        place = origin if properties[name] == own.get(name) else file
        yield Effective(variable, "masked" if shown is None else "shown", place, shown, name)


def _holds(value: Any, secrets: set[str]) -> bool:
    texts = value if isinstance(value, list) else [value]
    return any(masked(text, secrets) != text for text in texts if isinstance(text, str))
