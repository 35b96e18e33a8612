"""The address of the client, also behind proxies."""

import logging
import re
from collections.abc import Sequence
from functools import cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from config import Network
from web.request import Environ

Address = IPv4Address | IPv6Address

MAX_PROXIES = 20  # through which one request may come
MAX_ENTRY = 100  # characters of an address with port and zone

# How proxies write an address: alone, or with a port. An IPv6 address with a port is in brackets.
WITH_PORT = re.compile(r"\[([^\[\]]*)\](?::[0-9]+)?|([0-9.]+):[0-9]+")

IN_DOUBT = (
    "The address of a client is in doubt: a proxy that is not in TRUSTED_PROXIES has sent X-Forwarded-For, or a trusted"
    " proxy has not sent it. All such clients share one limit. Set TRUSTED_PROXIES to the addresses of your proxy, and"
    " let the proxy set X-Forwarded-For to the address of its client."
)

log = logging.getLogger("comments")


def client_of(environ: Environ, trusted: Sequence[Network]) -> str | None:
    """The address of the client, or None if it is not known. If it is in doubt, each process logs a warning once."""
    address = client_address(environ, trusted)
    if address is None or ("HTTP_X_FORWARDED_FOR" in environ and not is_from_proxy(environ, trusted)):
        warn()
    return address


@cache
def warn() -> None:
    """Log the warning, if this process has not done so yet."""
    log.warning(IN_DOUBT)


def client_address(environ: Environ, trusted: Sequence[Network]) -> str | None:
    """The address of the client, in one form for each address, or None if it can't be known.

    Each proxy appends to X-Forwarded-For the address from which it got the request. A client can make up the entries on
    the left. So this reads from the right: the first address that is not a trusted proxy is the client. If all are
    trusted proxies, it is the leftmost.
    """
    if is_from_proxy(environ, trusted):
        # Beyond MAX_PROXIES, the first entry has all others, with commas between them: it is not an address.
        entries = environ.get("HTTP_X_FORWARDED_FOR", "").rsplit(",", MAX_PROXIES)
    else:
        entries = [environ.get("REMOTE_ADDR", "")]
    address = None
    for entry in reversed(entries):
        address = parse(entry)
        if address is None or not is_in(address, trusted):
            break
    return None if address is None else str(address)


def is_from_proxy(environ: Environ, trusted: Sequence[Network]) -> bool:
    """Whether the request comes from a trusted proxy. On a Unix socket, where there is no address, it does."""
    peer = environ.get("REMOTE_ADDR", "")
    return is_in(parse(peer), trusted) if peer else bool(trusted)


def is_in(address: Address | None, networks: Sequence[Network]) -> bool:
    return address is not None and any(address in network for network in networks)


def parse(entry: str) -> Address | None:
    """The address in an entry of X-Forwarded-For, without port and zone. An IPv4 address in IPv6 is IPv4."""
    if len(entry) > MAX_ENTRY:
        return None
    text = entry.strip(" \t")
    found = WITH_PORT.fullmatch(text)
    try:
        address = ip_address(found[1] or found[2] if found else text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or IPv6Address(int(address))
    return address
