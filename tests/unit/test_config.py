"""config.py: every variable, its default and its bounds."""

import os
from dataclasses import fields
from ipaddress import ip_network
from pathlib import Path

import pytest

import config
from config import Config, ConfigError, Limit

ADMIN = "AZaz09._~+/=-AZaz09._~"  # the shortest
SIGNING = "a-secret!of_32$characters#%&'()*"


def test_an_empty_environment_gives_the_defaults() -> None:
    settings = Config.from_environment({})
    assert settings == Config()
    assert (settings.database_url, settings.port, settings.host) == (None, 5000, "127.0.0.1")
    assert (settings.log_level, settings.log_format) == ("info", "text")
    assert 1 <= settings.web_concurrency <= 8
    assert settings.database_connections == 6


def test_every_variable_is_read() -> None:
    read = Config.from_environment(
        {
            "DATABASE_URL": "postgres://db/comments",
            "PORT": "8123",
            "HOST": "::1",
            "WEB_CONCURRENCY": "99",
            "DATABASE_CONNECTIONS": "16",
            "ALLOWED_ORIGINS": "https://a.example, http://[::1]:3000",
            "EDIT_MINUTES": "0",
            "PAGE_CACHE": "OFF",
            "SITE_URL": "HTTPS://Blog.Example.org/",
            "LOG_LEVEL": "DEBUG",
            "LOG_FORMAT": "json",
            "ADMIN_TOKEN": ADMIN,
            "AUTH_SECRETS": f"{SIGNING},{SIGNING[::-1]}",
            "AUTH_AUDIENCE": "https://comments.example.org",
            "REQUIRE_AUTH": "on",
            "MODERATION": "first",
            "MAX_LINKS": "0",
            "CLOSE_AFTER_DAYS": "90",
            "SPAM_DAYS": "1",
            "POST_LIMIT": "10/Minute",
            "SITE_LIMIT": "10000/day",
            "TRUSTED_PROXIES": "10.0.0.0/8, ::1",
        }
    )
    assert read == Config(
        database_url="postgres://db/comments",
        port=8123,
        host="::1",
        web_concurrency=99,
        database_connections=16,
        allowed_origins=("https://a.example", "http://[::1]:3000"),
        edit_minutes=0,
        page_cache="off",
        site_url="https://blog.example.org",
        log_level="debug",
        log_format="json",
        admin_token=ADMIN,
        auth_secrets=(SIGNING, SIGNING[::-1]),
        auth_audience="https://comments.example.org",
        require_auth="on",
        moderation="first",
        max_links=0,
        close_after_days=90,
        spam_days=1,
        post_limit=Limit(10, 60),
        site_limit=Limit(10_000, 86_400),
        trusted_proxies=(ip_network("10.0.0.0/8"), ip_network("::1")),
    )
    unread = [field.name for field in fields(Config) if getattr(read, field.name) == getattr(Config(), field.name)]
    assert unread == [], "each has another value than its default"


@pytest.mark.parametrize(
    ("value", "origins"),
    [
        ("*", ("*",)),
        (" , ", ()),
        ("https://A.Example", ("https://a.example",)),
        ("http://a.example:8080,http://localhost,", ("http://a.example:8080", "http://localhost")),
        ("chrome-extension://abc", ("chrome-extension://abc",)),
    ],
)
def test_allowed_origins(value: str, origins: tuple[str, ...]) -> None:
    assert Config.from_environment({"ALLOWED_ORIGINS": value}).allowed_origins == origins


@pytest.mark.parametrize(
    ("value", "url"),
    [
        (" ", None),
        (" http://localhost:8000/ ", "http://localhost:8000"),
        ("https://Example.org/Blog//", "https://example.org/Blog"),
        ("https://[::1]/caf%C3%A9", "https://[::1]/caf%C3%A9"),
    ],
)
def test_site_url(value: str, url: str | None) -> None:
    assert Config.from_environment({"SITE_URL": value}).site_url == url


@pytest.mark.parametrize(
    ("value", "limit"),
    [("1/second", Limit(1, 1)), (" 2/minute ", Limit(2, 60)), ("3/HOUR", Limit(3, 3600)), (" ", None)],
)
def test_limits(value: str, limit: Limit | None) -> None:
    assert Config.from_environment({"POST_LIMIT": value}).post_limit == limit


@pytest.mark.parametrize(
    ("value", "networks"),
    [
        (" , ", []),
        ("127.0.0.1", ["127.0.0.1/32"]),
        ("fd00::/8,10.0.0.0/8", ["fd00::/8", "10.0.0.0/8"]),
    ],
)
def test_trusted_proxies(value: str, networks: list[str]) -> None:
    assert Config.from_environment({"TRUSTED_PROXIES": value}).trusted_proxies == tuple(map(ip_network, networks))


def test_an_empty_value_is_as_if_unset() -> None:
    names = [field.name.upper() for field in fields(Config)]
    assert Config.from_environment(dict.fromkeys(names, "")) == Config()


@pytest.mark.parametrize("port", ["1", "65535"])
def test_the_bounds_of_a_port(port: str) -> None:
    assert Config.from_environment({"PORT": port}).port == int(port)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            ("PORT", value)
            for value in ["abc", "0", "65536", "70000", "-1", "+80", "80.0", "8_0", " 80", "８０", "9" * 5000]
        ),
        *(("WEB_CONCURRENCY", value) for value in ["0", "-1", "many", "1001"]),
        *(("DATABASE_CONNECTIONS", value) for value in ["0", "-1", "many", "1001"]),
        *(("HOST", value) for value in ["nowhere", "1.2.3", "127.0.0.1:80", "http://127.0.0.1"]),
        *(("EDIT_MINUTES", value) for value in ["-1", "1.5", "525601", "ever"]),
        *(("PAGE_CACHE", value) for value in ["1", "yes"]),
        *(("LOG_LEVEL", value) for value in ["loud", "10"]),
        *(("LOG_FORMAT", value) for value in ["xml", "JSON lines"]),
        *(("ALLOWED_ORIGINS", value) for value in ["a.example", "https://a.example/", "https://*.a.example", "null"]),
        *(
            ("SITE_URL", value)
            for value in ["a.example", "//a.example", "/", "https://", "https:///a", "ftp://a.example", "https://é"]
        ),
        *(("SITE_URL", f"https://a.example{end}") for end in ["?b", "#b", "/a b", "/%zz", "/é", ":x", "@b.example"]),
        *(("ADMIN_TOKEN", value) for value in [ADMIN[:-1], "x" * 256, f"{ADMIN} ", f"{ADMIN}é", f"{ADMIN}\n"]),
        *(
            ("AUTH_SECRETS", value)
            for value in [SIGNING[:-1], f"{SIGNING},x", f"{SIGNING} x", f"{SIGNING}é", "\udcff" * 32]
        ),
        *(("REQUIRE_AUTH", value) for value in ["on", "yes"]),
        *(("MODERATION", value) for value in ["on", "some"]),
        *(("MAX_LINKS", value) for value in ["-1", "1001", "none"]),
        *(("CLOSE_AFTER_DAYS", value) for value in ["0", "36501", "never"]),
        *(("SPAM_DAYS", value) for value in ["0", "36501", "1.5"]),
        *(
            ("POST_LIMIT", value)
            for value in ["10", "0/day", "10001/day", "-1/day", "1.5/day", "1/week", "1/", "/day", "1/1/day", "１/day"]
        ),
        ("SITE_LIMIT", "many"),
        *(
            ("TRUSTED_PROXIES", value)
            for value in ["proxy", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0-10.0.0.9", "*", "::1, 0.0.0.0/0", "::/0"]
        ),
        *(("DATABASE_URL", value) for value in ["mysql://db/comments", "db/comments", "host=db", "sqlite:///x"]),
    ],
)
def test_a_bad_value_stops_the_program_with_a_line_that_names_the_variable(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{name} must .*\.$") as caught:
        Config.from_environment({name: value})
    assert isinstance(caught.value, SystemExit)
    assert "\n" not in str(caught.value)


def test_a_password_is_not_shown() -> None:
    assert "s3cret" not in repr(Config.from_environment({"DATABASE_URL": "postgresql://user:s3cret@db/x"}))
    with pytest.raises(ConfigError) as caught:
        Config.from_environment({"DATABASE_URL": "mysql://user:s3cret@db/x"})
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(("name", "value"), [("ADMIN_TOKEN", ADMIN), ("AUTH_SECRETS", SIGNING)])
def test_a_secret_is_not_shown(name: str, value: str) -> None:
    assert value not in repr(Config.from_environment({name: value}))
    with pytest.raises(ConfigError) as caught:
        Config.from_environment({name: f"{value},\N{BULLET}{value}"})
    assert value not in str(caught.value)


@pytest.mark.parametrize("separator", [",", " , ", ",,", ",\n"])
def test_secrets_are_separated_by_commas(separator: str) -> None:
    read = Config.from_environment({"AUTH_SECRETS": f"{SIGNING}{separator}{SIGNING[::-1]},"})
    assert read.auth_secrets == (SIGNING, SIGNING[::-1])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ADMIN_TOKEN", ADMIN),
        ("MODERATION", "all"),
        ("MAX_LINKS", "0"),
        ("CLOSE_AFTER_DAYS", "1"),
        ("POST_LIMIT", "1/day"),
        ("SITE_LIMIT", "1/day"),
    ],
)
def test_what_makes_a_service_moderated(name: str, value: str) -> None:
    assert Config.from_environment({name: value}).is_moderated


def test_signed_tokens_alone_do_not_make_a_service_moderated() -> None:
    tokens = {"AUTH_SECRETS": SIGNING, "AUTH_AUDIENCE": "https://comments.example.org", "REQUIRE_AUTH": "on"}
    assert not Config.from_environment({}).is_moderated
    assert not Config.from_environment({**tokens, "SPAM_DAYS": "1", "TRUSTED_PROXIES": "::1"}).is_moderated


@pytest.fixture
def env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An .env of the test's own, and an environment that is as before after the test."""
    monkeypatch.setattr(config, "ENV_FILE", tmp_path / ".env")
    monkeypatch.setattr(os, "environ", {"PATH": os.environ["PATH"]})
    return tmp_path / ".env"


def test_the_env_file_fills_in_what_the_environment_lacks(env_file: Path) -> None:
    env_file.write_text("PORT=8123\nHOST=0.0.0.0\nLOG_LEVEL=\n")
    os.environ["HOST"] = "::1"
    settings = Config.from_environment()
    assert (settings.port, settings.host, settings.log_level) == (8123, "::1", "info")


def test_an_empty_variable_does_not_hide_the_env_file(env_file: Path) -> None:
    env_file.write_text("PORT=8123\n")
    os.environ["PORT"] = ""
    assert Config.from_environment().port == 8123


def test_a_password_in_the_env_file_reaches_libpq_s_variable(env_file: Path) -> None:
    env_file.write_text("PGPASSWORD='ab$cd # \"'\n")
    Config.from_environment()
    assert os.environ["PGPASSWORD"] == 'ab$cd # "'


def test_no_env_file_is_no_matter(env_file: Path) -> None:
    assert not env_file.exists()
    assert Config.from_environment() == Config()
