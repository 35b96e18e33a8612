"""The configuration: every environment variable, read, typed and checked once.

Nothing else in the program reads the environment (https://12factor.net/config).
"""

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TypeVar

from dotenv import dotenv_values

ENV_FILE = Path(__file__).with_name(".env")

# Enough to use the cores of a usual machine; 8 x 6 connections leave most of PostgreSQL's 100 connections to others.
DEFAULT_WORKERS = min(os.cpu_count() or 1, 8)


Default = TypeVar("Default", int, None)


class ConfigError(SystemExit):
    """A variable has a value that the program can't start with.

    It is a SystemExit, so that gunicorn and flask alike end with its sentence on stderr and exit status 1.
    """


@dataclass(frozen=True)
class Limit:
    """At most `count` requests at once, and on average `count` in so many `seconds`."""

    count: int
    seconds: int


Network = ipaddress.IPv4Network | ipaddress.IPv6Network
UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}


@dataclass(frozen=True)
class Config:
    """The settings of one process; each is the environment variable of the same name in capitals."""

    # None: the embedded PostgreSQL. It may hold a password, so it is kept out of repr().
    database_url: str | None = field(default=None, repr=False)
    port: int = 5000
    host: str = "127.0.0.1"
    web_concurrency: int = DEFAULT_WORKERS
    database_connections: int = 6
    allowed_origins: tuple[str, ...] = ()
    edit_minutes: int = 15
    page_cache: str = "on"
    # None: what links to a comment leads to the API.
    site_url: str | None = None
    log_level: str = "info"
    log_format: str = "text"
    # None: nobody is a moderator.
    admin_token: str | None = field(default=None, repr=False)
    # A site signs the tokens of its users with one of these.
    auth_secrets: tuple[str, ...] = field(default=(), repr=False)
    auth_audience: str | None = None
    require_auth: str = "off"
    moderation: str = "none"
    # None: links are not counted.
    max_links: int | None = None
    # None: threads stay open.
    close_after_days: int | None = None
    spam_days: int = 30
    # None: there is no limit.
    post_limit: Limit | None = None
    site_limit: Limit | None = None
    trusted_proxies: tuple[Network, ...] = ()

    @property
    def is_moderated(self) -> bool:
        """Whether anything is set that may hold or refuse a comment. If not, rules and threads are not read."""
        limits = (self.admin_token, self.max_links, self.close_after_days, self.post_limit, self.site_limit)
        return self.moderation != "none" or any(limit is not None for limit in limits)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the environment, after putting into it what it lacks and .env has.

        `environ` is used instead of both. An empty value counts as not set. Raises ConfigError, naming the variable.
        """
        if environ is None:
            _load_env_file(ENV_FILE)
            environ = os.environ
        config = cls(
            database_url=_database_url(environ),
            port=_number(environ, "PORT", default=cls.port, low=1, high=65535),
            host=_address(environ, "HOST", default=cls.host),
            web_concurrency=_number(environ, "WEB_CONCURRENCY", default=cls.web_concurrency, low=1, high=1000),
            database_connections=_number(
                environ, "DATABASE_CONNECTIONS", default=cls.database_connections, low=1, high=1000
            ),
            allowed_origins=_origins(environ, "ALLOWED_ORIGINS"),
            edit_minutes=_number(environ, "EDIT_MINUTES", default=cls.edit_minutes, low=0, high=525_600),
            page_cache=_choice(environ, "PAGE_CACHE", ("on", "off"), default=cls.page_cache),
            site_url=_site_url(environ, "SITE_URL"),
            log_level=_choice(environ, "LOG_LEVEL", ("debug", "info", "warning", "error"), default=cls.log_level),
            log_format=_choice(environ, "LOG_FORMAT", ("text", "json"), default=cls.log_format),
            admin_token=_admin_token(environ, "ADMIN_TOKEN"),
            auth_secrets=_secrets(environ, "AUTH_SECRETS"),
            auth_audience=environ.get("AUTH_AUDIENCE") or None,
            require_auth=_choice(environ, "REQUIRE_AUTH", ("on", "off"), default=cls.require_auth),
            moderation=_choice(environ, "MODERATION", ("none", "first", "all"), default=cls.moderation),
            max_links=_number(environ, "MAX_LINKS", default=None, low=0, high=1000),
            close_after_days=_number(environ, "CLOSE_AFTER_DAYS", default=None, low=1, high=36_500),
            spam_days=_number(environ, "SPAM_DAYS", default=cls.spam_days, low=1, high=36_500),
            post_limit=_limit(environ, "POST_LIMIT"),
            site_limit=_limit(environ, "SITE_LIMIT"),
            trusted_proxies=_networks(environ, "TRUSTED_PROXIES"),
        )
        if config.require_auth == "on" and not config.auth_secrets:
            raise ConfigError("REQUIRE_AUTH must be off if AUTH_SECRETS is not set: nobody could post a comment.")
        return config


def _load_env_file(path: Path) -> None:
    """Put what .env says into the environment, where libpq too finds its PGPASSWORD; what is set there already wins."""
    for name, value in dotenv_values(path).items():
        if value and not os.environ.get(name):
            os.environ[name] = value


def _database_url(environ: Mapping[str, str]) -> str | None:
    url = environ.get("DATABASE_URL") or None
    if url is not None and not url.startswith(("postgresql://", "postgres://")):
        raise ConfigError("DATABASE_URL must start with postgresql:// (it is not shown here).")
    return url


def _admin_token(environ: Mapping[str, str], name: str) -> str | None:
    """A bearer token (RFC 6750, section 2.1), as long as an author's key."""
    token = environ.get(name) or None
    if token is not None and not re.fullmatch("[A-Za-z0-9._~+/=-]{22,255}", token):
        raise ConfigError(f"{name} must be 22 to 255 characters of A-Za-z0-9._~+/=- (it is not shown here).")
    return token


def _secrets(environ: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Keys for HMAC with SHA-256, by comma: not shorter than its hash (RFC 7518, section 3.2)."""
    secrets = tuple(filter(None, (secret.strip() for secret in environ.get(name, "").split(","))))
    if not all(re.fullmatch("[!-~]{32,}", secret) for secret in secrets):
        raise ConfigError(f"{name} must be at least 32 visible ASCII characters each, by comma (they are not shown).")
    return secrets


def _number(environ: Mapping[str, str], name: str, *, default: Default, low: int, high: int) -> int | Default:
    text = environ.get(name)
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10 and low <= int(text) <= high):
        raise ConfigError(f"{name} must be a whole number from {low} to {high}, not {text!r}.")
    return int(text)


def _address(environ: Mapping[str, str], name: str, *, default: str) -> str:
    text = environ.get(name) or default
    try:
        return text if text == "localhost" else str(ipaddress.ip_address(text))
    except ValueError:
        raise ConfigError(f"{name} must be an IP address such as 127.0.0.1 or 0.0.0.0, not {text!r}.") from None


def _origins(environ: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Origins (RFC 6454, section 6.2: scheme, host and perhaps port) by comma, or * for all."""
    origins = tuple(filter(None, re.split(r"[\s,]+", environ.get(name, "").lower())))
    for origin in origins:
        if not re.fullmatch(r"[a-z][a-z0-9+.-]*://([a-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]+)?|\*", origin):
            raise ConfigError(f"{name} must be origins like https://example.org, by comma, or *, not {origin!r}.")
    return origins


def _site_url(environ: Mapping[str, str], name: str) -> str | None:
    """A URL (RFC 3986) without a query, in the form that a path can follow: https://example.org/blog."""
    text = environ.get(name, "").strip()
    found = re.fullmatch(
        r"(https?://(?:[a-z0-9.-]+|\[[0-9a-f:]+\])(?::[0-9]+)?)(|/(?:[a-z0-9/._~!$&'()*+,;=:@-]|%[0-9a-f]{2})*)",
        text,
        re.IGNORECASE | re.ASCII,
    )
    if text and not found:
        raise ConfigError(f"{name} must be a URL like https://blog.example.org, without a query, not {text!r}.")
    return found[1].lower() + found[2].rstrip("/") if found else None


def _choice(environ: Mapping[str, str], name: str, choices: tuple[str, ...], *, default: str) -> str:
    text = environ.get(name) or default
    if text.lower() not in choices:
        raise ConfigError(f"{name} must be one of {', '.join(choices)}, not {text!r}.")
    return text.lower()


def _limit(environ: Mapping[str, str], name: str) -> Limit | None:
    text = environ.get(name, "").strip()
    found = re.fullmatch(r"([0-9]{1,5})/([a-z]+)", text.lower(), re.ASCII)
    if found and 1 <= int(found[1]) <= 10_000 and found[2] in UNITS:
        return Limit(int(found[1]), UNITS[found[2]])
    if text:
        raise ConfigError(
            f"{name} must be like 10/minute: from 1 to 10000, a slash, and second, minute, hour or day, not {text!r}."
        )
    return None


def _networks(environ: Mapping[str, str], name: str) -> tuple[Network, ...]:
    """Networks (CIDR, or one address) by comma. A network of all addresses is refused: it would trust everybody."""
    networks = []
    for text in filter(None, re.split(r"[\s,]+", environ.get(name, ""))):
        try:
            network = ipaddress.ip_network(text)
            if network.prefixlen == 0:
                raise ValueError
        except ValueError:
            raise ConfigError(
                f"{name} must be addresses or networks like 10.0.0.0/8, by comma, and not all addresses, not {text!r}."
            ) from None
        networks.append(network)
    return tuple(networks)
