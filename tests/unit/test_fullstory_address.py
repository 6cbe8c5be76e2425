"""The API key, and which host it is sent to."""

import pytest

from processor.adapters.fullstory import ApiKey, base_url_of
from processor.model.errors import ConfigurationError

NA1 = "https://api.fullstory.com"
EU1 = "https://api.eu1.fullstory.com"


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("na1.abc", NA1),
        ("eu1.abc", EU1),
        ("abc", NA1),
        ("abc/def+g=", NA1),
        ("xx9.abc", NA1),
        ("EU1.abc", NA1),
        ("eu1abc", NA1),
        (".abc", NA1),
    ],
)
def test_the_key_names_the_data_centre(key: str, expected: str) -> None:
    """The key's prefix chooses the data centre, North America's if there is none or an unknown one."""
    assert base_url_of(ApiKey(key), None) == expected
    assert base_url_of(ApiKey(key), "") == expected


@pytest.mark.parametrize(
    ("key", "configured", "expected"),
    [
        ("na1.abc", NA1, NA1),
        ("eu1.abc", f"{EU1}/", EU1),
        ("abc", EU1, EU1),
        ("xx9.abc", EU1, EU1),
        ("eu1.abc", "https://api.xx9.fullstory.com", "https://api.xx9.fullstory.com"),
        ("eu1.abc", "https://gateway.example:8443/fullstory/", "https://gateway.example:8443/fullstory"),
        ("na1.abc", "http://127.0.0.1:8400", "http://127.0.0.1:8400"),
        ("na1.abc", "http://127.9.9.9:8400", "http://127.9.9.9:8400"),
        ("na1.abc", "http://localhost:8400/", "http://localhost:8400"),
        ("na1.abc", "http://[::1]:8400", "http://[::1]:8400"),
    ],
)
def test_a_configured_host_that_agrees_is_taken(key: str, configured: str, expected: str) -> None:
    """Any https host is accepted except FullStory's other data centre, and plain http on this computer."""
    assert base_url_of(ApiKey(key), configured) == expected


@pytest.mark.parametrize(
    ("configured", "problem"),
    [
        (EU1, "belongs to the data centre na1"),
        ("https://API.EU1.fullstory.com.:443", "belongs to the data centre na1"),
        ("http://api.fullstory.com", "clear text"),
        ("http://127.0.0.1.example", "clear text"),
        ("http://localhost.example", "clear text"),
        ("http://0.0.0.0", "clear text"),
        ("http://10.0.0.1:8400", "clear text"),
        ("https://me:pw@api.fullstory.com", "user name"),
        ("https://api.fullstory.com@evil.example", "user name"),
        ("https://api.fullstory.com/v2", "adds /v2 itself"),
        ("https://gateway.example?key=1", "query"),
        ("https://gateway.example#x", "fragment"),
        ("api.fullstory.com", "not a URL"),
        ("ftp://api.fullstory.com", "not a URL"),
        ("https://", "not a URL"),
        ("https:///v2", "not a URL"),
        ("https://[::1", "not a URL"),
        ("https://api..fullstory.com", "not a URL"),
        (f"https://{'a' * 64}.example", "not a URL"),
        ("https://127.1", "not a URL"),
        ("https://api.fullstory.com:99999", "not a URL"),
        ("https://api.fullstory.com:x", "not a URL"),
        (" https://api.fullstory.com", "not a URL"),
        ("https://api.fullstory.com\n", "not a URL"),
        ("https://api.full\tstory.com", "not a URL"),
        ("https://api.fullstоry.com", "not a URL"),  # noqa: RUF001 - the second o is Cyrillic
    ],
)
def test_a_configured_host_that_cannot_be_right_is_refused(configured: str, problem: str) -> None:
    """The error names the variable, the problem and an example."""
    with pytest.raises(ConfigurationError) as caught:
        base_url_of(ApiKey("na1.abc"), configured)

    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith("PROCESSOR_FULLSTORY__BASE_URL: ")
    assert problem in caught.value.problems[0]
    assert "for example https://api.fullstory.com" in caught.value.problems[0]


@pytest.mark.parametrize("text", ["", "s3cret key", "s3cret\n", "\ts3cret", "s3cret\0", "s3crét", "Basic s3cret"])
def test_a_key_that_cannot_be_one_is_refused_and_not_quoted(text: str) -> None:
    """A key with a line end or other illegal text is refused, and the message quotes nothing of it."""
    with pytest.raises(ConfigurationError, match="PROCESSOR_FULLSTORY__API_KEY: ") as caught:
        ApiKey(text)

    assert "s3cr" not in str(caught.value)


def test_a_key_is_never_shown() -> None:
    """A key prints as asterisks; only the request header holds it."""
    key = ApiKey("na1.s3cret+/=")

    assert "s3cret" not in f"{key} {key!r} {[key]}"
    assert key.authorization == "Basic na1.s3cret+/="


@pytest.mark.parametrize(
    "url", ["http://sandbox:8081", "https://10.1.2.3", "http://192.168.0.9:8081", "https://[fd00::1]"]
)
def test_a_private_network_is_for_those_who_allow_it(url: str) -> None:
    """An address in a private network is refused unless a setting allows it, and the message names that setting."""
    with pytest.raises(ConfigurationError, match="PROCESSOR_FULLSTORY__ALLOW_PRIVATE=true"):
        base_url_of(ApiKey("na1.abc"), url)
    assert base_url_of(ApiKey("na1.abc"), url, allow_private=True) == url
