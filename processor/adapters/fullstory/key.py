"""The API key, as a value that cannot be shown by accident."""

from typing import final

from processor.model.errors import ConfigurationError

_VARIABLE = "PROCESSOR_FULLSTORY__API_KEY"


@final
class ApiKey:
    """FullStory's API key. Only `authorization` gives its text away; what prints this object shows three asterisks.

    Raises `ConfigurationError`, which never quotes the key, when the text cannot be one.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        if problem := _problem(text):
            raise ConfigurationError([f"{_VARIABLE}: {problem}"])
        self._text = text

    @property
    def realm(self) -> str | None:
        """The data centre that issued the key, such as `na1`; None for a key from before keys named it."""
        realm, dot, _ = self._text.partition(".")
        return realm if dot else None

    @property
    def authorization(self) -> str:
        """The value of the `Authorization` header: the key stands in it as it is, not encoded."""
        return f"Basic {self._text}"

    def __repr__(self) -> str:
        return "ApiKey(***)"


def _problem(text: str) -> str | None:
    if not text:
        return "the key is empty; copy it from FullStory, Settings, API Keys"
    if text.startswith("Basic "):
        return "give the key alone, without the word Basic in front of it"
    if not text.isascii() or not text.isprintable() or " " in text:
        return "the key holds white space or other characters that no key has; copy it again"
    return None
