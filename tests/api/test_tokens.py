"""Who sends a request: a user whom the site has signed in, by a token; a moderator, by the ADMIN_TOKEN."""

import re
import time
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
from flask.testing import FlaskClient

from app import create_app
from config import Config
from db import CommentDatabase
from moderation.database import ModerationDatabase
from web.identity import ANONYMOUS, MAX_TOKEN, MODERATOR, Identity, identify
from web.request import Request

from support.postgres import sql
from support.processes import PYTHON, ROOT, run
from support.tokens import HS256, SECRET, claims, encoded, signature, signed, token

NEW_SECRET = "a-newer-secret-of-the-same-site-1"  # noqa: S105
ADMIN = "the.admin.token-of-this-service"
KEY = "the-key-of-the-author-1"
URL = "https://comments.example.org"
DAY = 24 * 60 * 60
HELLO = {"comment": "Hello"}

NO_JWT = "The Authorization has two dots, as a signed token has, but it is not a valid JWT."
WRONG_ALGORITHM = "The token must be signed with HS256."
WRONG_SIGNATURE = "The token is not signed with a secret of this service."
EXPIRED = "The token has expired."
TOO_FAR = "The token must expire within 24 hours."
NOT_YET = "The token is not valid yet: its iat or nbf is in the future."
NO_SUBJECT = "The claim sub of the token must be a string of 1 to 200 characters."
OTHER_AUDIENCE = "The token is for another audience (aud)."
NO_KEY = "The Authorization must be Bearer and a key: 22 to 255 characters of A-Za-z0-9._~+/=-."

Start = Callable[..., FlaskClient]


@pytest.fixture
def start(database: CommentDatabase) -> Start:
    """A client of an application that is configured so; with AUTH_SECRETS, unless it is said otherwise."""

    def create(**config: Any) -> FlaskClient:
        return create_app(Config(**{"auth_secrets": (SECRET,), **config}), database).test_client()

    return create


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def post(client: FlaskClient, text: str, **fields: object) -> Any:
    return client.post("/comments", json={**HELLO, **fields}, headers=bearer(text))


def assert_refused(client: FlaskClient, text: str, sentence: str) -> None:
    """A POST, a PATCH and a DELETE are 401, with this sentence and nothing of the token."""
    for path, method in [("/comments", "POST"), ("/comments/1", "PATCH"), ("/comments/1", "DELETE")]:
        environ = {"HTTP_AUTHORIZATION": f"Bearer {text}"}
        response = client.open(path, method=method, json={"name": "Eve", **HELLO}, environ_overrides=environ)
        assert (response.status_code, response.json) == (401, {"error": sentence})
        assert response.headers["WWW-Authenticate"] == "Bearer"
    assert client.get("/comments").get_json()["comments"] == []


def test_a_comment_has_the_token_s_name_and_is_verified(start: Start, database_url: str) -> None:
    response = post(start(), token(name=" Ada Lovelace "), name="somebody else")
    assert response.status_code == 201
    assert (response.json["name"], response.json["verified"]) == ("Ada Lovelace", True)
    assert sql(database_url, "SELECT name, verified FROM comments") == [("Ada Lovelace", True)]


@pytest.mark.parametrize("typed", [{}, {"name": None}, {"name": ""}, {"name": "A\nB"}, {"name": 1}])
def test_with_a_token_no_name_need_be_typed(start: Start, typed: dict[str, object]) -> None:
    assert post(start(), token(), **typed).get_json()["name"] == "Ada"


def test_a_user_is_known_by_his_sub(start: Start) -> None:
    client = start()
    post(client, token())
    later = token(sub="user-1", name="Ada King", exp=int(time.time()) + 60)
    edited = client.patch("/comments/1", json={"comment": "Bye"}, headers=bearer(later)).get_json()
    assert (edited["name"], edited["comment"], edited["verified"]) == ("Ada King", "Bye", True)
    assert client.delete("/comments/1", headers=bearer(token())).status_code == 204


def test_an_edit_with_a_token_has_its_name_and_not_the_typed_one(start: Start) -> None:
    client = start()
    post(client, token())
    for typed in ("Grace", "", None):
        edited = client.patch("/comments/1", json={"name": typed}, headers=bearer(token()))
        assert (edited.status_code, edited.get_json()["name"]) == (200, "Ada")
    nothing = client.patch("/comments/1", json={}, headers=bearer(token()))
    assert (nothing.status_code, nothing.json) == (400, {"error": "Name or comment is required."})


@pytest.mark.parametrize("other", ["user-2", "user-1 ", "User-1", "sub:user-1"])
def test_a_comment_of_a_user_is_nobody_else_s(start: Start, other: str) -> None:
    client = start()
    post(client, token())
    for text in (token(sub=other), KEY, "user-1".ljust(22, "=")):
        for method in ("PATCH", "DELETE"):
            assert client.open("/comments/1", method=method, json=HELLO, headers=bearer(text)).status_code == 403


def test_a_key_is_as_good_as_before(start: Start) -> None:
    client = start()
    stored = post(client, KEY, name="Ada").get_json()
    assert (stored["name"], stored["verified"]) == ("Ada", False)
    assert client.delete("/comments/1", headers=bearer(token())).status_code == 403
    assert client.delete("/comments/1", headers=bearer(KEY)).status_code == 204


def test_a_retry_with_a_newer_token_is_the_same_comment(start: Start) -> None:
    client = start()
    for seconds in (60, 600):
        headers = {**bearer(token(exp=int(time.time()) + seconds)), "Idempotency-Key": "key"}
        assert client.post("/comments", json=HELLO, headers=headers).get_json()["id"] == 1


def test_the_readme_says_how_a_site_makes_a_token(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    monkeypatch.setenv("AUTH_SECRET", SECRET)
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102
    stored = post(start(), names["token_for"](42, "Ada")).get_json()
    assert (stored["name"], stored["verified"]) == ("Ada", True)


def unsigned(algorithm: str, **changes: object) -> str:
    return f"{encoded({'alg': algorithm})}.{encoded(claims(**changes))}."


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", ""])
def test_an_unsigned_token_is_401(start: Start, algorithm: str) -> None:
    assert_refused(start(), unsigned(algorithm), WRONG_ALGORITHM)
    assert_refused(start(), signed(claims(), {"alg": algorithm}), WRONG_ALGORITHM)


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "RS256"},
        {"alg": "ES256"},
        {"alg": "EdDSA"},
        {"alg": "PS256", "kid": "1"},
        {"alg": "hs256"},
        {"alg": None},
        {"alg": ["HS256"]},
        {"typ": "JWT"},
        {"alg": "RS256", "jwk": {"kty": "oct", "k": encoded(SECRET)}, "jku": "https://evil.example/"},
    ],
)
def test_a_token_of_another_algorithm_is_401_also_if_it_is_signed_with_the_secret(start: Start, header: object) -> None:
    assert_refused(start(), signed(claims(), header), WRONG_ALGORITHM)


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_a_token_with_a_longer_hash_is_401(start: Start, algorithm: str) -> None:
    text = f"{encoded({'alg': algorithm})}.{encoded(claims())}"
    assert_refused(start(), f"{text}.{signature(text, digest=f'sha{algorithm[2:]}')}", WRONG_ALGORITHM)


def test_a_header_does_not_bring_the_key(start: Start) -> None:
    """With which an attacker has signed it: RFC 8725, section 2.1, and RFC 7515, section 4.1.3."""
    own = "the-secret-of-an-attacker-is-long"
    header = {**HS256, "jwk": {"kty": "oct", "k": encoded(own.encode())}, "kid": "../../dev/null", "x5u": own}
    assert_refused(start(), signed(claims(), header, own), WRONG_SIGNATURE)


@pytest.mark.parametrize("secret", ["", "x" * 32, SECRET.upper(), f"{SECRET}\n", f"{SECRET},{NEW_SECRET}", "None"])
def test_a_wrong_signature_is_401(start: Start, secret: str) -> None:
    assert_refused(start(auth_secrets=(SECRET, NEW_SECRET)), signed(claims(), secret=secret), WRONG_SIGNATURE)


def test_a_token_whose_parts_are_of_two_tokens_is_401(start: Start) -> None:
    one, other = token().split("."), token(sub="user-2").split(".")
    for mixed in ([*one[:2], other[2]], [one[0], other[1], one[2]], [*one[:2], ""], [*one[:2], one[2][:40]]):
        assert_refused(start(), ".".join(mixed), WRONG_SIGNATURE)


def test_each_secret_is_good_while_they_are_exchanged(start: Start) -> None:
    both = start(auth_secrets=(NEW_SECRET, SECRET))
    post(both, token())
    assert both.delete("/comments/1", headers=bearer(signed(claims(), secret=NEW_SECRET))).status_code == 204
    assert_refused(start(auth_secrets=(NEW_SECRET,)), token(), WRONG_SIGNATURE)


@pytest.mark.parametrize("claim", ["sub", "name", "exp"])
def test_a_token_that_lacks_a_claim_is_401(start: Start, claim: str) -> None:
    assert_refused(start(), token(**{claim: None}), f"The token lacks the claim {claim}.")
    assert_refused(start(), signed({**claims(), claim: None}), f"The token lacks the claim {claim}.")


@pytest.mark.parametrize("subject", ["", "x" * 201, 42, True, ["user-1"], {"id": "user-1"}, 1.5])
def test_a_sub_that_is_none_is_401(start: Start, subject: object) -> None:
    assert_refused(start(), token(sub=subject), NO_SUBJECT)


@pytest.mark.parametrize("subject", ["x", "x" * 200, "\u00e9\U0001f600" * 100, " ", "\0", "\ud800", "a.b.c", "'; DROP"])
def test_a_sub_is_any_text(start: Start, subject: str) -> None:
    client = start()
    post(client, token(sub=subject))
    assert client.delete("/comments/1", headers=bearer(token(sub=f"{subject[:-1]}y"))).status_code == 403
    assert client.delete("/comments/1", headers=bearer(token(sub=subject))).status_code == 204


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "Name is required."),
        (" \n", "Name is required."),
        ("A\nB", "Name must not contain line breaks."),
        ("A\x1b[31m", "Name must not contain control characters."),
        ("A\0", "Name must not contain the character NUL."),
        ("A\u202eB", "Name must not contain characters that change the direction of text."),
        ("\u200b", "Name must contain a visible character."),
        ("A\ud800", "Name must be Unicode text: it contains a lone surrogate."),
        ("A" * 101, "Name must not be longer than 100 characters."),
        (1, "Name must be a string."),
        (["Ada"], "Name must be a string."),
    ],
)
def test_a_name_that_nobody_could_type_is_401(start: Start, name: object, why: str) -> None:
    assert_refused(start(), token(name=name), f"The claim name of the token is not valid. {why}")


def token_in(**seconds: float) -> str:
    """A token with times so many seconds from now."""
    return token(**{claim: time.time() + number for claim, number in seconds.items()})


@pytest.mark.parametrize(
    ("seconds", "sentence"),
    [
        ({"exp": -DAY}, EXPIRED),
        ({"exp": -62}, EXPIRED),
        ({"exp": DAY + 70}, TOO_FAR),
        ({"exp": 365 * DAY}, TOO_FAR),
        ({"iat": 70}, NOT_YET),
        ({"nbf": 70}, NOT_YET),
        ({"exp": -DAY, "iat": -2 * DAY, "nbf": -2 * DAY}, EXPIRED),
    ],
)
def test_a_token_out_of_its_time_is_401(start: Start, seconds: dict[str, float], sentence: str) -> None:
    assert_refused(start(), token_in(**seconds), sentence)


@pytest.mark.parametrize("seconds", [{"exp": -30}, {"exp": DAY}, {"exp": DAY + 50}, {"iat": 50}, {"nbf": 50}])
def test_the_site_s_clock_may_differ_by_a_minute(start: Start, seconds: dict[str, float]) -> None:
    assert post(start(), token_in(**seconds)).status_code == 201


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"exp": 0}, EXPIRED),
        ({"exp": -(10**100)}, EXPIRED),
        ({"exp": 1_800_000_000_000}, TOO_FAR),  # in milliseconds
        ({"exp": 10**100}, TOO_FAR),
        ({"exp": 1e300}, TOO_FAR),
        ({"exp": float("inf")}, NO_JWT),
        ({"exp": float("nan")}, NO_JWT),
        ({"exp": "tomorrow"}, NO_JWT),
        ({"exp": []}, NO_JWT),
        ({"iat": "now"}, NO_JWT),
        ({"nbf": {}}, NO_JWT),
    ],
)
def test_a_time_that_is_none_is_401(start: Start, changes: dict[str, object], sentence: str) -> None:
    assert_refused(start(), token(**changes), sentence)


@pytest.mark.parametrize("audience", [URL, [URL], ["https://other.example", URL]])
def test_a_token_for_this_service(start: Start, audience: object) -> None:
    assert post(start(auth_audience=URL), token(aud=audience)).status_code == 201


@pytest.mark.parametrize("audience", ["https://other.example", f"{URL}/", URL[:-1], [f"{URL},x"], [[URL]], {URL: 1}, 1])
def test_a_token_for_another_service_is_401(start: Start, audience: object) -> None:
    assert_refused(start(auth_audience=URL), token(aud=audience), OTHER_AUDIENCE)


@pytest.mark.parametrize("audience", [None, "", []])
def test_a_token_for_no_service_is_401(start: Start, audience: object) -> None:
    assert_refused(start(auth_audience=URL), token(aud=audience), "The token lacks the claim aud.")


@pytest.mark.parametrize("audience", ["https://other.example", ["x"], 1, {}])
def test_without_auth_audience_the_aud_is_not_looked_at(start: Start, audience: object) -> None:
    assert post(start(), token(aud=audience)).status_code == 201


def test_other_claims_are_not_looked_at(start: Start) -> None:
    others = {"iss": "https://blog.example", "jti": "1", "email": "ada@example.org", "admin": True, "verified": False}
    assert post(start(), token(**others)).status_code == 201


HEADER, PAYLOAD, SIGNATURE = token().split(".")

NO_TOKENS = {
    "a key": "the.key.of-an-author-with-two-dots",
    "dots before a key": f"..{'x' * 22}",
    "dots after a key": f"{'x' * 22}..",
    "no header": f".{PAYLOAD}.{SIGNATURE}",
    "no payload": f"{HEADER}..{SIGNATURE}",
    "a dot twice and no signature": f"{HEADER}..{PAYLOAD}",
    "padding of the header": f"{HEADER}=.{PAYLOAD}.{SIGNATURE}",
    "padding of the signature": f"{token()}=",
    "a letter that base64url does not have": f"{token()}~",
    "base64 that is not base64url": f"{token()}+/",
    "letters too few": token()[:-2],
    "a letter too many": f"{HEADER}x.{PAYLOAD}.{SIGNATURE}",
    "a header that is not JSON": signed(claims(), b"not JSON"),
    "half a header": signed(claims(), b'{"alg": "HS256"'),
    "a header that is not UTF-8": signed(claims(), b"\xff\xfe"),
    "a header that is a list": signed(claims(), ["HS256"]),
    "a header that is a string": signed(claims(), "HS256"),
    "a deep header": signed(claims(), b'{"alg": "HS256", "x": ' + b"[" * 2000),
    "a kid that is a number": signed(claims(), {**HS256, "kid": 1}),
    "an extension that nobody knows": signed(claims(), {**HS256, "crit": ["exp"], "exp": 1}),
    "a detached payload": signed(claims(), {**HS256, "b64": False}),
    "a detached payload, critical": signed(claims(), {**HS256, "b64": False, "crit": ["b64"]}),
    "a payload that is not JSON": signed(b"not JSON"),
    "a payload that is not UTF-8": signed(b"\xff"),
    "a payload that is a list": signed([claims()]),
    "a payload that is a string": signed("Ada"),
    "a deep payload": signed(b"[" * 2000),
    "a jti that is a number": token(jti=1),
}


@pytest.mark.parametrize("text", NO_TOKENS.values(), ids=NO_TOKENS.keys())
def test_what_has_two_dots_and_is_no_token_is_401(start: Start, text: str) -> None:
    assert text.count(".") == 2
    assert_refused(start(), text, NO_JWT)


def test_where_the_site_signs_no_tokens_a_key_may_have_two_dots(start: Start) -> None:
    client = start(auth_secrets=())
    stored = post(client, "the.key.of-an-author-with-two-dots", name="Ada").get_json()
    assert (stored["name"], stored["verified"]) == ("Ada", False)
    assert post(client, token()).json == {"error": "Name is required."}, "it is a key like any other"


@pytest.mark.parametrize("dots", ["one.dot", "three.dots.are.here", "a...b"])
def test_a_key_with_another_number_of_dots_is_a_key(start: Start, dots: str) -> None:
    assert post(start(), dots.ljust(22, "x"), name="Ada").get_json()["verified"] is False


@pytest.mark.parametrize("dots", ["", ".", "...", "...."])
def test_a_long_text_with_another_number_of_dots_is_no_key(start: Start, dots: str) -> None:
    assert_refused(start(), f"{dots}{'x' * 256}", NO_KEY)


def of_length(length: int) -> str:
    """A token with a claim that makes it so long."""
    found = next(found for n in range(length) if len(found := token(more="x" * n)) >= length)
    assert len(found) == length
    return found


def test_a_token_may_have_4096_characters(start: Start) -> None:
    sentence = "The token must not be longer than 4,096 characters."
    assert_refused(start(), of_length(MAX_TOKEN + 1), sentence)
    assert_refused(start(), f"..{'x' * 100_000}", sentence)
    assert post(start(), of_length(MAX_TOKEN)).status_code == 201


@pytest.mark.parametrize("form", ["{}é", "é{}", "{} ", "{}\x00", "{0}, Bearer {0}", "{0} {0}", "a.b.c", ".."])
def test_what_no_token_has_is_401(start: Start, form: str) -> None:
    assert_refused(start(), form.format(token()), NO_KEY)


def test_a_moderator_s_comment_has_the_typed_name(start: Start, database_url: str) -> None:
    client = start(admin_token=ADMIN)
    stored = post(client, ADMIN, name="The editors").get_json()
    assert (stored["name"], stored["verified"]) == ("The editors", True)
    assert post(client, ADMIN).json == {"error": "Name is required."}
    for other in (KEY, token(), ADMIN[:-1] + "x", "x" * 22):
        assert client.patch("/comments/1", json=HELLO, headers=bearer(other)).status_code in (401, 403)
    edited = client.patch("/comments/1", json={"name": "The editor"}, headers=bearer(ADMIN)).get_json()
    assert (edited["name"], edited["verified"]) == ("The editor", True)


@pytest.mark.parametrize("almost", [ADMIN[:-1], f"{ADMIN}x", ADMIN.upper(), ADMIN[::-1]])
def test_what_is_almost_the_admin_token_is_a_key(start: Start, almost: str) -> None:
    assert post(start(admin_token=ADMIN, auth_secrets=()), almost, name="Eve").get_json()["verified"] is False


def test_without_an_admin_token_its_text_is_a_key(start: Start) -> None:
    assert post(start(auth_secrets=()), ADMIN, name="Eve").get_json()["verified"] is False


def identity_of(text: str | None, **config: Any) -> Identity:
    environ = {} if text is None else {"HTTP_AUTHORIZATION": f"Bearer {text}"}
    database = CommentDatabase("")
    return identify(Request(environ, Config(**config), database, ModerationDatabase(database)))


def test_who_is_a_moderator() -> None:
    config = {"auth_secrets": (SECRET,), "admin_token": ADMIN}
    assert identity_of(ADMIN, **config) is MODERATOR
    assert identity_of(token(role="moderator"), **config).is_moderator
    assert identity_of(token(role="moderator", name="Grace"), **config).name == "Grace"
    for role in (None, "", "Moderator", "moderator ", "admin", True, 1, ["moderator"], {"moderator": True}):
        assert not identity_of(token(role=role), **config).is_moderator


def test_without_an_admin_token_nobody_is_a_moderator() -> None:
    for text in (None, KEY, token(role="moderator")):
        assert not identity_of(text, auth_secrets=(SECRET,)).is_moderator


def test_nobody_s_hash_is_the_moderator_s() -> None:
    for subject in ("moderator", "", "\0moderator"):
        known = sha256(f"sub:{subject}".encode()).digest()
        assert known != MODERATOR.author_hash
    assert identity_of("moderator".ljust(22, "=")).author_hash != MODERATOR.author_hash


def test_who_sends_no_authorization_is_anonymous() -> None:
    assert identity_of(None, auth_secrets=(SECRET,), admin_token=ADMIN) is ANONYMOUS


def test_the_library_of_tokens_is_not_loaded_where_none_are_signed(database_url: str) -> None:
    """An application that has answered a POST with a key, in a process of its own."""
    code = f"""
import sys
from app import create_app
client = create_app().test_client()
posted = client.post("/comments", json={{"name": "Ada", "comment": "Hello"}}, headers={bearer(KEY)!r})
print(posted.status_code, "jwt" in sys.modules)
"""
    done = run([PYTHON, "-c", code], DATABASE_URL=database_url, LOG_LEVEL="error")
    assert done.stdout == "201 False\n", done.stderr


@pytest.fixture
def closed(start: Start) -> FlaskClient:
    """Where only those may comment who are signed in."""
    return start(require_auth="on", admin_token=ADMIN)


@pytest.mark.parametrize("headers", [{}, bearer(KEY), bearer("three.dots.in-the-key.of-an-author")])
def test_with_require_auth_who_is_not_signed_in_is_told_so(closed: FlaskClient, headers: dict[str, str]) -> None:
    response = closed.post("/comments", json={"name": "Eve", **HELLO}, headers=headers)
    sentence = "Only users who are signed in on this site can comment."
    assert (response.status_code, response.json) == (401, {"error": sentence})
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert closed.get("/comments").get_json()["comments"] == []


def test_with_require_auth_users_and_moderators_comment(closed: FlaskClient) -> None:
    for text in (token(), ADMIN):
        assert post(closed, text, name="Ada").status_code == 201


def test_with_require_auth_who_commented_before_still_changes_it(closed: FlaskClient, start: Start) -> None:
    post(start(), KEY, name="Ada")
    assert closed.patch("/comments/1", json={"comment": "Bye"}, headers=bearer(KEY)).status_code == 200
    assert closed.delete("/comments/1", headers=bearer(KEY)).status_code == 204


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_nothing_of_a_token_is_in_the_log_or_stored(
    start: Start, database_url: str, capsys: pytest.CaptureFixture[str], log_format: str
) -> None:
    client = start(log_format=log_format, log_level="debug", admin_token=ADMIN)
    good = token(sub="somebody", name="Ada", email="ada@example.org")
    forged = f"{good[:-10]}AAAAAAAAAA"
    answers = [post(client, text, name="Grace") for text in (good, forged, token(exp=1), unsigned("none"), ADMIN)]
    assert [answer.status_code for answer in answers] == [201, 401, 401, 401, 201]
    client.patch("/comments/1", json={"comment": "Bye"}, headers=bearer(good))
    (hashes,) = zip(*sql(database_url, "SELECT author_hash FROM comments ORDER BY id"), strict=True)
    assert list(map(bytes, hashes)) == [sha256(b"sub:somebody").digest(), sha256(b"moderator").digest()]
    said = capsys.readouterr().out + str(sql(database_url, "SELECT comments::text FROM comments"))
    said += "".join(f"{answer.text}{answer.headers}" for answer in answers)
    parts = [part for text in (good, forged) for part in text.split(".")]
    for secret in (*parts, "somebody", "example.org", ADMIN, SECRET):
        assert secret not in said
