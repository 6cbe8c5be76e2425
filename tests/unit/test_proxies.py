"""Proxies of the environment: which values are taken, which connection goes where, and that no login is ever told."""

import random
from base64 import b64decode
from collections.abc import Mapping

import pytest

from processor.adapters.proxies import NO_PROXY, PROXY_VARIABLES, Proxies
from processor.model.errors import ConfigurationError

API = "https://api.fullstory.com"


def way(environ: Mapping[str, str], url: str = API) -> str | None:
    """Return the address of the proxy that a URL is asked through."""
    proxy = Proxies.of(environ).of_url(url)
    return proxy and proxy.address


def login(value: str) -> str:
    """Return the login that a proxy is sent."""
    proxy = Proxies.of({"https_proxy": value}).of_url(API)
    assert proxy is not None
    assert proxy.authorization is not None
    return b64decode(proxy.authorization.removeprefix("Basic ")).decode()


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("http://proxy:3128", "http://proxy:3128"),
        ("http://proxy:3128/", "http://proxy:3128"),
        ("HTTP://Proxy.Example.COM:3128", "http://proxy.example.com:3128"),
        ("proxy:3128", "http://proxy:3128"),
        ("http://proxy", "http://proxy:80"),
        ("https://proxy", "https://proxy:443"),
        ("https://proxy:8443", "https://proxy:8443"),
        ("http://10.0.0.7:3128", "http://10.0.0.7:3128"),
        ("http://[fd00::7]:3128", "http://[fd00::7]:3128"),
        ("http://me:secret@proxy:3128", "http://proxy:3128"),
        ("me:secret@proxy:3128", "http://proxy:3128"),
        ("http://@proxy:3128", "http://proxy:3128"),
    ],
)
def test_a_proxy_is_a_host_with_a_port(value: str, address: str) -> None:
    """A proxy may lack its scheme, which is then http, and its port, which is then that of the scheme."""
    assert way({"https_proxy": value}) == address


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("socks5://proxy:1080", "SOCKS proxies are not supported"),
        ("socks5h://me:secret@proxy:1080", "SOCKS proxies are not supported"),
        ("ftp://proxy", "begins with another scheme"),
        ("http://proxy:3128\n", "begins or ends with white space"),
        (" http://me:secret@proxy:3128", "begins or ends with white space"),
        ("http://", "the host is missing"),
        ("http://:3128", "the host is missing"),
        ("http://me:secret@:3128", "the host is missing"),
        ("http://me:secret@", "the host is missing"),
        ("http://proxy:", "has a port that is not a number from 1 to 65535"),
        ("http://proxy:0", "has a port"),
        ("http://proxy:65536", "has a port"),
        ("http://proxy:port", "has a port"),
        ("http://proxy:\N{FULLWIDTH DIGIT THREE}", "has a port"),
        ("me:secret", "has a port"),
        ("http://proxy:3128/path", "has a port"),
        ("http://proxy/path", "not HOST:PORT"),
        ("http://proxy name:3128", "not HOST:PORT"),
        ("http://pröxy:3128", "not HOST:PORT"),
        ("http://a..b:3128", "not HOST:PORT"),
        (f"http://{'a' * 64}.example:3128", "not HOST:PORT"),
        ("http://127.1:3128", "not HOST:PORT"),
        ("http://[fd00::7:3128", "not HOST:PORT"),
        ("http://[fd00::7]3128", "not HOST:PORT"),
        ("http://fd00::7:3128", "has a port"),
        ("http://[fe80::1%25eth0]:3128", "not HOST:PORT"),
        *(
            (f"http://me:pass{each}word@proxy:3128", "must be percent-encoded")
            for each in ("#", "/", "?", "[", "]", "\\", " ", "\t", "\n", "\N{NO-BREAK SPACE}")
        ),
        ("http://domain\\me:secret@proxy:3128", "must be percent-encoded"),
        ("http://do%3Amain:secret@proxy:3128", "the user name holds a colon"),
    ],
)
def test_what_is_no_proxy_is_told_without_the_value(value: str, problem: str) -> None:
    """A value that cannot be used is one problem, which names the variable and an example, and nothing of the value."""
    with pytest.raises(ConfigurationError) as caught:
        Proxies.of({"HTTPS_PROXY": value})
    [told] = caught.value.problems
    assert told.startswith("HTTPS_PROXY: ")
    assert problem in told
    assert told.endswith("; for example: http://proxy.example.com:3128")
    assert all(part not in told for part in ("secret", "word@", "domain", "pröxy"))


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("http://me:secret@proxy", "me:secret"),
        ("http://me@proxy", "me:"),
        ("http://:secret@proxy", ":secret"),
        ("http://me:p%40ss%23%2f%3F%5b%5C@proxy", "me:p@ss#/?[\\"),
        ("http://me:a:b@proxy", "me:a:b"),
        ("http://me:a@b@proxy", "me:a@b"),
        ("http://me:100%@proxy", "me:100%"),
        ("http://m%C3%A9:пароль@proxy", "mé:пароль"),
        ("http://dom%5Cme:s@proxy", "dom\\me:s"),
    ],
)
def test_a_login_is_sent_as_the_bytes_that_it_stands_for(value: str, sent: str) -> None:
    """Percent signs are decoded, and other characters are sent as UTF-8: none of them has to be one of latin-1."""
    assert login(value) == sent
    assert way({"https_proxy": value}) == "http://proxy:80"


def test_a_login_that_is_not_utf_8_is_sent_as_it_is() -> None:
    """Bytes of the environment in another encoding are sent unchanged."""
    proxy = Proxies.of({"https_proxy": b"http://m\xe9:%FF@proxy".decode("utf-8", "surrogateescape")}).of_url(API)
    assert proxy is not None
    assert b64decode((proxy.authorization or "").removeprefix("Basic ")) == b"m\xe9:\xff"


def test_what_prints_a_proxy_shows_no_login() -> None:
    """A proxy's texts show that there is a login, and neither its user name nor its password."""
    proxy = Proxies.of({"https_proxy": "http://somebody:s3cret@proxy"}).of_url(API)
    assert proxy is not None
    texts = [repr(proxy), str(proxy), proxy.address, proxy.masked, repr(Proxies.of({"https_proxy": proxy.url}))]
    assert [text for text in texts if "somebody" in text or "s3cret" in text] == []
    assert proxy.masked == "http://********@proxy:80"
    assert proxy.url == "http://somebody:s3cret@proxy:80"


@pytest.mark.parametrize(
    ("environ", "address"),
    [
        ({}, None),
        ({"https_proxy": ""}, None),
        ({"https_proxy": "http://a"}, "http://a:80"),
        ({"HTTPS_PROXY": "http://a"}, "http://a:80"),
        ({"https_proxy": "http://a", "HTTPS_PROXY": "http://b"}, "http://a:80"),
        ({"https_proxy": "", "HTTPS_PROXY": "http://b"}, None),
        ({"http_proxy": "http://a"}, None),
        ({"all_proxy": "http://c"}, "http://c:80"),
        ({"ALL_PROXY": "http://c", "http_proxy": "http://a"}, "http://c:80"),
        ({"ALL_PROXY": "http://c", "HTTPS_PROXY": "http://b"}, "http://b:80"),
        ({"Https_Proxy": "http://a"}, None),
    ],
)
def test_the_lower_case_and_the_scheme_come_first(environ: Mapping[str, str], address: str | None) -> None:
    """The variable of the scheme outranks the one for all, and lower case outranks upper case, even if it is empty."""
    assert way(environ) == address


@pytest.mark.parametrize(
    ("exceptions", "url", "found"),
    [
        ("*", "https://api.fullstory.com", "direct"),
        ("api.fullstory.com", "https://api.fullstory.com", "direct"),
        ("API.FullStory.com.", "https://api.fullstory.com./v2", "direct"),
        ("fullstory.com", "https://api.fullstory.com", "direct"),
        (".fullstory.com", "https://api.fullstory.com", "direct"),
        (".api.fullstory.com", "https://api.fullstory.com", "direct"),
        ("*.fullstory.com", "https://api.fullstory.com", "direct"),
        ("*.api.fullstory.com", "https://api.fullstory.com", "http://proxy:80"),
        ("story.com", "https://api.fullstory.com", "http://proxy:80"),
        ("api.fullstory.com:443", "https://api.fullstory.com", "direct"),
        ("api.fullstory.com:8443", "https://api.fullstory.com", "http://proxy:80"),
        (".fullstory.com:8443", "https://api.fullstory.com:8443", "direct"),
        ("a.example, api.fullstory.com", "https://api.fullstory.com", "direct"),
        ("a.example  api.fullstory.com", "https://api.fullstory.com", "direct"),
        (",,a.example,", "https://api.fullstory.com", "http://proxy:80"),
        ("10.0.0.7", "https://10.0.0.7", "direct"),
        ("10.0.0.7", "https://10.0.0.70", "http://proxy:80"),
        ("10.0.0.7:443", "https://10.0.0.7", "direct"),
        ("10.0.0.7:80", "https://10.0.0.7", "http://proxy:80"),
        ("10.0.0.0/8", "https://10.200.3.4", "direct"),
        ("10.0.0.1/8", "https://10.200.3.4", "direct"),
        ("10.0.0.0/8", "https://11.0.0.1", "http://proxy:80"),
        ("10.0.0.0/8", "https://[::ffff:10.0.0.7]", "direct"),
        ("10.0.0.0/8", "https://host10.example", "http://proxy:80"),
        ("0.0.0.0/0", "https://api.fullstory.com", "http://proxy:80"),
        ("fd00::/8", "https://[fd00::7]", "direct"),
        ("fd00::/8", "https://10.0.0.7", "http://proxy:80"),
        ("fd00::7", "https://[fd00::7]", "direct"),
        ("[fd00::7]", "https://[fd00:0::7]", "direct"),
        ("[fd00::7]:8443", "https://[fd00::7]:8443", "direct"),
        ("[fd00::7]:8443", "https://[fd00::7]", "http://proxy:80"),
    ],
)
def test_no_proxy_has_names_addresses_networks_and_ports(exceptions: str, url: str, found: str) -> None:
    """A name stands for itself and all below it, a network for addresses, and an entry with a port for that port."""
    assert (way({"https_proxy": "http://proxy", NO_PROXY: exceptions}, url) or "direct") == found


@pytest.mark.parametrize(
    ("exceptions", "problem"),
    [
        ("a.example,10.0.0.0/33", "entry 2 is neither a name, an address nor a network"),
        ("10.0.0.0/8:443", "entry 1 is neither"),
        ("http://api.fullstory.com", "entry 1 is a URL: give the host alone"),
        ("api.fullstory.com/v2", "entry 1 is neither"),
        ("api.fullstory.com:https", "entry 1 has a port that is not a number from 1 to 65535"),
        ("10.*", "entry 1 is neither"),
        ("10.0.0.", "entry 1 is neither"),
        ("api.*.com", "entry 1 is neither"),
        ("*:8443", "entry 1 is neither"),
        ("[fd00::7", "entry 1 is neither"),
        ("fd00::g", "entry 1 is neither"),
        ("me:secret@proxy", "entry 1 has a port"),
        ("a..b", "entry 1 is neither"),
    ],
)
def test_an_entry_of_no_proxy_that_means_nothing_is_told(exceptions: str, problem: str) -> None:
    """An entry that other programs would pass over in silence is a problem, told by its number."""
    with pytest.raises(ConfigurationError) as caught:
        Proxies.of({"NO_PROXY": exceptions})
    [told] = caught.value.problems
    assert told.startswith(f"NO_PROXY: {problem}")
    assert "secret" not in told


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.8.8.8", "[::1]"])
def test_this_computer_is_never_asked_through_a_proxy(host: str) -> None:
    """A proxy elsewhere would ask itself, and one that a key in clear text passes would see it."""
    proxies = {"http_proxy": "http://proxy", "https_proxy": "http://proxy"}
    assert [way(proxies, f"{scheme}://{host}:8081") for scheme in ("http", "https")] == [None, None]


def test_all_problems_are_told_at_once() -> None:
    """Each variable that cannot be used is a problem of its own."""
    with pytest.raises(ConfigurationError) as caught:
        Proxies.of({"http_proxy": "http://:1", "HTTPS_PROXY": "socks4://a", "no_proxy": "[", "all_proxy": "http://a"})
    assert [each.partition(":")[0] for each in caught.value.problems] == ["http_proxy", "HTTPS_PROXY", "no_proxy"]


@pytest.mark.parametrize("seed", range(20))
def test_whatever_the_value_nothing_of_the_login_is_told(seed: int) -> None:
    """Whatever the variables hold, the result is a value or a `ConfigurationError`, and neither shows the login."""
    chance = random.Random(seed)
    odd = "#/?[]\\@:%&=+ \t\n\r\0~^`'\"<>|{}*,;éπ\N{SNOWMAN}\U0001f511\udcff\N{FULLWIDTH DIGIT ZERO}"
    for number in range(300):
        user, password = (f"Q{chance.getrandbits(40):010X}" for _ in range(2))
        marks = "".join(chance.choice(odd) for _ in range(chance.randrange(6)))
        text = "".join(
            [
                chance.choice(["", "http://", "https://", "socks5://", "://", "http:/", "HTTP://", "//", "x:"]),
                chance.choice([f"{user}:{password}", f"{user}{marks}:{password}", f"{user}:{marks}{password}", user]),
                chance.choice(["@", "@", "@", marks, f"{marks}@{marks}", "%40"]),
                chance.choice(["proxy", "10.0.0.7", "[::1]", "", "a" * 300, marks, "xn--a", f"proxy{marks}"]),
                chance.choice(["", ":3128", ":", ":0", ":99999", ":http", f":{marks}", ":3128/", f"/{marks}"]),
            ]
        )
        name = chance.choice([*PROXY_VARIABLES, NO_PROXY])
        try:
            proxies = Proxies.of({chance.choice([name, name.upper()]): text})
        except ConfigurationError as error:
            told = str(error)
        else:
            is_host = "@" not in text  # then it may be a host by its looks, and nobody can know better
            found = [proxies.of_url(url) for url in (API, "http://registry:8081", "https://[fd00::1]:8443")]
            told = "" if is_host else "".join(f"{each!r}{each.masked}" for each in found if each is not None)
        assert user not in told, (seed, number, text)
        assert user.lower() not in told, (seed, number, text)
        assert password not in told, (seed, number, text)
        assert password.lower() not in told, (seed, number, text)
