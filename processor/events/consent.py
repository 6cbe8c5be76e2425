"""Whether the user of a message consents: Segment's `context.consent.categoryPreferences`, as Segment enforces it."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from processor.events.context import read_context

ConsentRule = Literal["all", "any"]


class Consent:
    """Asks for consent to `categories`, of which `all` have to be true, or `any` one. Total and pure."""

    def __init__(self, categories: Sequence[str], rule: ConsentRule) -> None:
        self._categories = categories
        self._suffices = all if rule == "all" else any

    def allows(self, context: Any) -> bool:
        """Say whether a message with this context may be sent.

        One that says nothing of consent may, as in Segment; one that does lacks consent to whatever it does not name.
        """
        preferences = read_preferences(context)
        return preferences is None or self._suffices(_is_given(preferences.get(each)) for each in self._categories)


def read_preferences(context: Any) -> Mapping[str, Any] | None:
    """Return what a context says of consent, by category; None where it says nothing.

    The context, the consent in it and the preferences may be JSON text. Where something else stands in the place of
    preferences, nothing is consented to.
    """
    if not context or (consent := read_context(context).get("consent")) is None:
        return None
    preferences = read_context(consent).get("categoryPreferences")
    return None if preferences is None else read_context(preferences)


def _is_given(preference: Any) -> bool:
    """A map of strings can only say true as text."""
    return preference is True or (type(preference) is str and preference.lower() == "true")
