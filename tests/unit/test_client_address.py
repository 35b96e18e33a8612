"""web/client.py: who the client is, of what proxies say."""

from collections.abc import Iterator
from ipaddress import ip_network

import pytest

from config import Network
from web import client
from web.client import MAX_PROXIES, client_address, client_of

TRUSTED = tuple(map(ip_network, ("10.0.0.0/8", "fd00::/8", "fe80::/10")))
PROXY = "10.0.0.1"


def found(peer: str, *forwarded: str, trusted: tuple[Network, ...] = TRUSTED) -> str | None:
    """The client of a request from this peer. WSGI servers join several X-Forwarded-For with commas."""
    environ = {"REMOTE_ADDR": peer}
    if forwarded:
        environ["HTTP_X_FORWARDED_FOR"] = ",".join(forwarded)
    return client_address(environ, trusted)


@pytest.mark.parametrize("peer", ["198.51.100.7", "2001:db8::7", "127.0.0.1"])
def test_without_a_trusted_proxy_the_peer_is_the_client_whatever_it_says(peer: str) -> None:
    assert found(peer) == found(peer, "1.2.3.4") == found(peer, "1.2.3.4", trusted=()) == peer


def test_a_trusted_proxy_says_who_the_client_is() -> None:
    assert found(PROXY, "1.2.3.4") == "1.2.3.4"
    assert found("fd00::1", "2001:db8::7") == "2001:db8::7"


def test_what_a_client_makes_up_is_on_the_left_and_is_not_read() -> None:
    assert found(PROXY, "9.9.9.9, 1.2.3.4") == "1.2.3.4"
    assert found(PROXY, "10.9.9.9, 9.9.9.9, 1.2.3.4, 10.0.0.2") == "1.2.3.4"
    assert found(PROXY, "not an address, 1.2.3.4") == "1.2.3.4"


def test_several_headers_are_one_list() -> None:
    assert found(PROXY, "9.9.9.9", "1.2.3.4") == "1.2.3.4"
    assert found(PROXY, "9.9.9.9,1.2.3.4", "10.0.0.2 , 10.0.0.3") == "1.2.3.4"


def test_if_all_are_trusted_the_leftmost_is_the_client() -> None:
    assert found(PROXY, "10.0.0.3, 10.0.0.2") == "10.0.0.3"


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("1.2.3.4:5678", "1.2.3.4"),
        ("[::1]:99", "::1"),
        ("[2001:db8::7]", "2001:db8::7"),
        (" \t1.2.3.4\t ", "1.2.3.4"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("[::FFFF:102:304]:80", "1.2.3.4"),
        ("2001:0DB8:0:0:0:0:0:7", "2001:db8::7"),
        ("2001:db8::7%eth0", "2001:db8::7"),
        ("[2001:db8::7%25eth0]:80", "2001:db8::7"),
    ],
)
def test_each_way_to_write_an_address_is_the_same_client(written: str, address: str) -> None:
    assert found(PROXY, written) == found(PROXY, f"9.9.9.9, {written}, {PROXY}") == address


@pytest.mark.parametrize("peer", ["::ffff:10.0.0.1", "fe80::1%eth0", "FD00:0:0::1"])
def test_a_trusted_proxy_may_be_written_in_each_way_too(peer: str) -> None:
    assert found(peer, "1.2.3.4") == found(PROXY, f"1.2.3.4, {peer}") == "1.2.3.4"


@pytest.mark.parametrize(
    "entry",
    [
        "unknown",
        "_hidden",
        "unix:",
        "",
        " ",
        "example.org",
        "1.2.3",
        "01.2.3.4",
        "1.2.3.4.5",
        "1.2.3.4:",
        "1.2.3.4:x",
        "1.2.3.4%eth0",
        "[::1",
        "::1]",
        "[]",
        "[::1]x",
        "::1::",
        "10.0.0.0/8",
        '"1.2.3.4"',
        "for=1.2.3.4",
        "1.2.3.4\x00",
        "١.2.3.4",
        "x" * 8000,
        " " * 8000 + "1.2.3.4",
    ],
)
def test_behind_an_entry_that_is_no_address_nobody_is_known(entry: str) -> None:
    assert found(PROXY, entry) is None
    assert found(PROXY, f"9.9.9.9, {entry}") is None
    assert found(PROXY, f"9.9.9.9, {entry}, {PROXY}") is None
    assert found(PROXY, f"{entry}, 1.2.3.4") == "1.2.3.4"


def test_a_trusted_proxy_that_says_nothing_leaves_the_client_unknown() -> None:
    assert found(PROXY) is None


def test_on_a_unix_socket_there_is_a_proxy_if_any_is_trusted() -> None:
    assert found("", "9.9.9.9, 1.2.3.4") == "1.2.3.4"
    assert found("") is None
    assert found("", "1.2.3.4", trusted=()) is None
    assert client_address({}, ()) is None


def test_a_peer_that_is_no_address_is_not_trusted() -> None:
    assert found("unix:", "1.2.3.4") is None


def test_so_many_proxies_and_no_more_are_followed() -> None:
    assert found(PROXY, "1.2.3.4", *[PROXY] * MAX_PROXIES) == "1.2.3.4"
    assert found(PROXY, "1.2.3.4", *[PROXY] * (MAX_PROXIES + 1)) is None
    assert found(PROXY, *["9.9.9.9"] * 5000, "1.2.3.4") == "1.2.3.4"
    assert found(PROXY, *[PROXY] * 5000) is None


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What a process that has logged no warning yet logs."""
    client.warn.cache_clear()
    yield caplog
    client.warn.cache_clear()


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [("198.51.100.7", "1.2.3.4", "198.51.100.7"), (PROXY, "unknown", None), (PROXY, "", None), ("", "unix:", None)],
)
def test_the_log_says_once_if_an_address_is_in_doubt_and_names_none(
    logged: pytest.LogCaptureFixture, peer: str, forwarded: str, address: str | None
) -> None:
    environ = {"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": forwarded}
    assert [client_of(environ, TRUSTED) for _ in range(3)] == [address] * 3
    [warning] = logged.messages
    assert "TRUSTED_PROXIES" in warning
    assert "X-Forwarded-For" in warning
    assert "198.51.100.7" not in warning


def test_an_address_that_is_known_is_no_warning(logged: pytest.LogCaptureFixture) -> None:
    assert client_of({"REMOTE_ADDR": PROXY, "HTTP_X_FORWARDED_FOR": "9.9.9.9, 1.2.3.4"}, TRUSTED) == "1.2.3.4"
    assert client_of({"REMOTE_ADDR": "198.51.100.7"}, TRUSTED) == "198.51.100.7"
    assert logged.messages == []
