"""openapi.yaml: the same routes as the application's, true examples, and no request that breaks it."""

import copy
import json
import re
from collections.abc import Iterator
from hashlib import sha256
from inspect import getsource
from typing import Any

import jsonschema_rs
import pytest
import yaml
from flask.testing import FlaskClient

from app import ROUTES, create_app
from comment import MAX_COMMENT, MAX_ID, MAX_NAME, MAX_THREAD, Comment, InvalidInput, clean_comment, clean_name
from config import Config
from db import CommentDatabase
from moderation.input import MAX_IDS, STATUSES
from moderation.judge import MAX_WORD, judge
from moderation.rules import MAX_RULES
from statements import COUNTED
from web import paging
from web.comments import MAX_THREADS

from support.moderator import ADMIN, bearer
from support.postgres import sql
from support.processes import ROOT
from support.tokens import SECRET, token

CONTRACT = yaml.safe_load((ROOT / "openapi.yaml").read_text())
KEY = "the-key-of-the-author-1"
FORM = "application/x-www-form-urlencoded"
METHODS = ("get", "put", "post", "delete", "patch")


def resolve(node: Any) -> Any:
    """The document with every reference replaced by what it refers to."""
    if isinstance(node, list):
        return [resolve(item) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        target = CONTRACT
        for name in node["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        return resolve(target)
    return {name: resolve(value) for name, value in node.items()}


RESOLVED = resolve(copy.deepcopy(CONTRACT["paths"]))


def operations() -> Iterator[tuple[str, str, Any]]:
    for path, item in RESOLVED.items():
        for method in METHODS:
            if method in item:
                parameters = item.get("parameters", []) + item[method].get("parameters", [])
                yield path, method, item[method] | {"parameters": parameters}


@pytest.fixture
def moderated(database: CommentDatabase) -> FlaskClient:
    """A client of the application where there is a moderator."""
    return create_app(Config(admin_token=ADMIN), database).test_client()


def test_it_is_served(client: FlaskClient) -> None:
    response = client.get("/openapi.yaml")
    assert (response.status_code, response.content_type) == (200, "application/yaml")
    assert response.data == (ROOT / "openapi.yaml").read_bytes()


def test_it_has_an_entity_tag(client: FlaskClient) -> None:
    etag = client.get("/openapi.yaml").headers["ETag"]
    assert client.get("/openapi.yaml", headers={"If-None-Match": etag}).status_code == 304


def test_its_routes_are_the_application_s() -> None:
    documented = {(path, method.upper()) for path, method, _ in operations()}
    assert documented == {(re.sub("<(.*?)>", r"{\1}", route.path), route.method) for route in ROUTES}


def test_its_limits_are_the_code_s() -> None:
    schemas = CONTRACT["components"]["schemas"]
    for name, limit in {"Name": MAX_NAME, "Text": MAX_COMMENT, "Thread": MAX_THREAD}.items():
        assert schemas[name]["description"].startswith(f"At most {limit:,} characters")
    assert schemas["ID"]["maximum"] == MAX_ID
    parameters = {parameter["name"]: parameter for parameter in RESOLVED["/comments"]["get"]["parameters"]}
    assert parameters["limit"]["schema"]["maximum"] == paging.MAX_LIMIT
    assert parameters["limit"]["schema"]["default"] == paging.DEFAULT_LIMIT
    [threads, _] = RESOLVED["/counts"]["get"]["parameters"]
    counts = RESOLVED["/counts"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]["properties"]
    assert counts["counts"]["maxProperties"] == counts["more"]["maxItems"] == MAX_THREADS
    assert threads["schema"]["maxItems"] == MAX_THREADS
    assert counts["counts"]["additionalProperties"]["maximum"] == COUNTED
    assert schemas["Status"]["enum"] == list(STATUSES)
    assert schemas["Decisions"]["properties"]["ids"]["maxItems"] == MAX_IDS
    assert schemas["Rule"]["properties"]["value"]["anyOf"][0]["maxLength"] == MAX_WORD
    rules = RESOLVED["/rules"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert rules["properties"]["rules"]["maxItems"] == MAX_RULES


def test_its_comment_has_the_fields_of_the_code_s() -> None:
    comment = CONTRACT["components"]["schemas"]["Comment"]
    assert list(comment["properties"]) == comment["required"] == list(Comment(1, "Ada", "Hello").to_dict())
    moderated = CONTRACT["components"]["schemas"]["ModeratorsComment"]
    shown = list(Comment(1, "Ada", "Hello").for_moderators())
    assert list(moderated["properties"]) == moderated["required"] == shown


def test_its_reasons_are_the_code_s() -> None:
    """Those that judge() gives, and those of the honeypot and of moderators."""
    reasons = CONTRACT["components"]["schemas"]["ModeratorsComment"]["properties"]["reason"]["enum"]
    assert set(re.findall(r'(?:PENDING|SPAM|comment.status), "(\w+)"', getsource(judge))) == {*reasons} - {None}


def check(value: Any, schema: Any) -> None:
    """Validate a value by a schema of OpenAPI 3.1, which is JSON Schema's draft 2020-12."""
    jsonschema_rs.Draft202012Validator(schema, validate_formats=True).validate(value)


@pytest.mark.parametrize(("name", "schema"), [("name", "Name"), ("comment", "Text")])
def test_its_patterns_accept_the_characters_that_the_code_accepts(name: str, schema: str) -> None:
    """Every character of the basic plane, and the planes where there are invisible ones: alone and within a word."""
    validator = jsonschema_rs.Draft202012Validator(CONTRACT["components"]["schemas"][schema])
    code_points = [*range(0xD800), *range(0xE000, 0x1E000), *range(0xDFF00, 0xE1100)]
    wrong = [
        text
        for character in map(chr, code_points)
        for text in (character, f"a{character}b", f"{character}a", f" {character}\n")
        if validator.is_valid(text) != is_accepted(name, text)
    ]
    assert wrong == []


def is_accepted(name: str, text: str) -> bool:
    clean = {"name": clean_name, "comment": clean_comment}[name]
    try:
        clean(text)
    except InvalidInput:
        return False
    return True


def examples_of(node: Any) -> list[Any]:
    """The examples of a parameter, a header or a media type."""
    many = [example["value"] for example in node.get("examples", {}).values()]
    return many + ([node["example"]] if "example" in node else [])


def test_every_example_fits_its_schema() -> None:
    checked = 0
    for _, _, operation in operations():
        nodes = [*operation.get("parameters", []), *operation.get("requestBody", {}).get("content", {}).values()]
        for response in operation["responses"].values():
            nodes += [*response.get("headers", {}).values(), *response.get("content", {}).values()]
        for node in nodes:
            for example in examples_of(node):
                check(example, node["schema"])
                checked += 1
    assert checked > 50


def assert_documented(response: Any, operation: Any) -> None:
    """Check the status, the headers and the body of an answer against the contract."""
    assert str(response.status_code) in operation["responses"], response.text
    documented = operation["responses"][str(response.status_code)]
    for name, header in documented.get("headers", {}).items():
        if name in response.headers:
            value: Any = response.headers[name]
            value = int(value) if header["schema"].get("type") == "integer" else value
            check(value, header["schema"])
        else:
            assert not header.get("required"), name
    for content_type, media in documented.get("content", {}).items():
        assert response.content_type == content_type
        if content_type == "application/json":
            check(response.json, media["schema"])


def shape(value: Any) -> Any:
    """What stays the same from one run to the next."""
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", "TIME", json.dumps(value))
    return json.loads(re.sub(r"\b[0-9a-f]{32}\b", "HASH", text))


def send(
    client: FlaskClient,
    path: str,
    method: str,
    operation: Any,
    body: object = None,
    who: str | None = None,
    **parameters: object,
) -> Any:
    """Make a request of an operation, with the examples of its parameters where no others are given."""
    values = {
        parameter["name"]: parameters.get(parameter["name"], parameter.get("example"))
        for parameter in operation.get("parameters", [])
    }
    where = {parameter["name"]: parameter["in"] for parameter in operation.get("parameters", [])}
    values = {name: value for name, value in values.items() if value is not None}
    is_form = FORM in operation.get("requestBody", {}).get("content", {})
    return client.open(
        path.replace("{id}", str(values.get("id"))),
        method=method.upper(),
        query_string={
            name: value if isinstance(value, list) else str(value)
            for name, value in values.items()
            if where[name] == "query"
        },
        headers={name: str(value) for name, value in values.items() if where[name] == "header"} | bearer(who),
        data=body if is_form else None,
        json=None if is_form else body,
    )


def who_may(operation: Any, body: Any) -> str | None:
    """The key with which an example is sent: an author's, unless only a moderator may do it, or nobody's."""
    security = operation.get("security", [])
    if security == [{"moderator": []}] or "status" in (body or {}):
        return ADMIN
    return KEY if {"author": []} in security else None


@pytest.mark.parametrize(
    ("path", "method", "operation"), [pytest.param(*found, id=f"{found[1]} {found[0]}") for found in operations()]
)
def test_every_example_of_a_request_gets_a_documented_answer(
    moderated: FlaskClient, database: CommentDatabase, path: str, method: str, operation: Any
) -> None:
    for n in range(2):
        database.create_comment(Comment(None, "Ada", f"{n}", "/hello-world"), author_hash=sha256(KEY.encode()).digest())
    moderated.post("/rules", json={"kind": "word", "value": "x", "effect": "spam"}, headers=bearer(ADMIN))
    bodies = [
        example
        for media in operation.get("requestBody", {}).get("content", {}).values()
        for example in examples_of(media)
    ]
    for number, body in enumerate(bodies or [None]):
        who = who_may(operation, body)
        response = send(moderated, path, method, operation, body, who, **{"Idempotency-Key": f"key-{number}"})
        assert 200 <= response.status_code <= 303
        assert_documented(response, operation)


def answers(path: str, method: str, status: str) -> list[Any]:
    """The examples of an answer, but for times and hashes."""
    media = RESOLVED[path][method]["responses"][status]["content"]["application/json"]
    return [shape(example) for example in examples_of(media)]


def test_the_examples_of_the_answers_are_real(client: FlaskClient, database: CommentDatabase) -> None:
    """Each is what a request in fact gets, but for times and hashes."""

    def example(path: str, method: str, status: str, n: int = 0) -> Any:
        return answers(path, method, status)[n]

    def post(body: object, **headers: str) -> Any:
        return client.post("/comments", json=body, headers=headers)

    hello = {"name": "Ada", "comment": "Hello"}
    assert shape(post(hello).json) == example("/comments", "post", "201")
    assert shape(client.get("/comments/1").json) == example("/comments/{id}", "get", "200")
    assert client.get("/comments/2").json == example("/comments/{id}", "get", "404")
    assert post({}).json == example("/comments", "post", "400")
    assert post({"name": "Ada"}).json == example("/comments", "post", "400", 1)
    assert post("x" * 300_000).json == example("/comments", "post", "413")
    assert client.post("/comments", data=b"x").json == example("/comments", "post", "415")
    post(hello, Idempotency_Key="key")
    assert post({**hello, "comment": "other"}, Idempotency_Key="key").json == example("/comments", "post", "422")
    assert post({**hello, "parent_id": 99}).json == example("/comments", "post", "400", 2)
    assert post(hello, Authorization="Bearer short").json == example("/comments", "post", "401")
    closed = create_app(Config(auth_secrets=(SECRET,), require_auth="on"), database).test_client()
    for n, headers in enumerate([{"Authorization": f"Bearer {token(exp=1)}"}, {}], start=1):
        assert closed.post("/comments", json=hello, headers=headers).json == example("/comments", "post", "401", n)
    assert client.get("/comments?limit=0").json == example("/comments", "get", "400")
    assert client.get("/healthz").json == example("/healthz", "get", "200")
    assert client.get("/readyz").json == example("/readyz", "get", "200")
    unreachable = create_app(Config(), CommentDatabase("postgresql://127.0.0.1:1/x")).test_client()
    assert unreachable.get("/comments").json == example("/comments", "get", "503")


def test_the_examples_of_an_edit_and_of_a_deletion_are_real(client: FlaskClient, database_url: str) -> None:
    path, keyed = "/comments/{id}", {"Authorization": f"Bearer {KEY}"}

    def examples(method: str, status: str) -> Any:
        return answers(path, method, status)

    def patch(**headers: str) -> Any:
        return shape(client.patch("/comments/1", json={"comment": "Hello, *world*"}, headers=headers).json)

    def delete(**headers: str) -> Any:
        return client.delete("/comments/1", headers=headers).json

    client.post("/comments", json={"name": "Ada", "comment": "Hello"}, headers=keyed)
    stale = {"If-Match": '"x"'}
    assert patch(**keyed) == examples("patch", "200")[0]
    assert [patch()] == examples("patch", "401") == examples("delete", "401") == [delete()]
    assert (
        [patch(**keyed, **stale)] == examples("patch", "412") == examples("delete", "412") == [delete(**keyed, **stale)]
    )
    other = {"Authorization": f"Bearer {KEY[::-1]}"}
    sql(database_url, "UPDATE comments SET created_at = now() - interval '1 h'")
    assert [patch(**other), patch(**keyed)] == examples("patch", "403")[:2]
    assert [delete(**other)] == examples("delete", "403")
    assert client.patch("/comments/1", json={}, headers=keyed).json == examples("patch", "400")[0]
    client.delete("/comments/1", headers=keyed)
    assert [patch(**keyed)] == examples("patch", "404") == examples("delete", "404") == [delete(**keyed)]


def test_the_examples_of_a_comment_that_waits_are_real(database: CommentDatabase) -> None:
    client = create_app(Config(admin_token=ADMIN, moderation="all"), database).test_client()
    path = "/comments/{id}"
    posted = client.post("/comments", json={"name": "Ada", "comment": "Hello"}, headers=bearer(KEY))
    assert shape(posted.json) == answers("/comments", "post", "201")[1] == answers(path, "get", "200")[1]
    assert shape(client.get("/comments/1", headers=bearer(KEY)).json) == shape(posted.json)
    assert client.get("/comments/1").json == answers(path, "get", "404")[0]
    spam = client.patch("/comments/1", json={"status": "spam"}, headers=bearer(ADMIN)).json
    assert shape(spam) == answers(path, "patch", "200")[1] == answers(path, "get", "200")[2]
    assert client.get("/comments/1", headers=bearer(ADMIN)).json == spam
    refused = client.patch("/comments/1", json={"status": "spam"}, headers=bearer(KEY))
    assert refused.json == answers(path, "patch", "403")[2]
    wrong = client.patch("/comments/1", json={"status": ""}, headers=bearer(ADMIN))
    assert wrong.json == answers(path, "patch", "400")[1]


def test_the_examples_of_the_moderators_answers_are_real(moderated: FlaskClient, database_url: str) -> None:
    def call(method: str, path: str, body: object = None) -> Any:
        return moderated.open(path, method=method, json=body, headers=bearer(ADMIN))

    for _ in range(2):
        moderated.post("/comments", json={"name": "Ada", "comment": "Hello", "thread": "/hello-world"})
    assert [call("PATCH", "/comments", {"ids": [1, 2], "status": "spam"}).json] == answers("/comments", "patch", "200")
    found = call("GET", "/comments?status=spam").json["comments"]
    assert shape({"comments": found[:1]}) == answers("/comments", "get", "200")[1]
    assert [call("PATCH", "/comments", body).json for body in ({}, {"status": "spam"})] == answers(
        "/comments", "patch", "400"
    )
    word = {"kind": "word", "value": "casino", "effect": "pending"}
    assert [call("POST", "/rules", word).json] == answers("/rules", "post", "201")
    assert [call("GET", "/rules").json] == answers("/rules", "get", "200")
    wrong = [word | {"kind": ""}, word | {"effect": ""}, word | {"kind": "author", "value": 1}]
    assert [call("POST", "/rules", body).json for body in wrong] == answers("/rules", "post", "400")
    sql(
        database_url,
        "INSERT INTO rules (kind, value, matches, effect) SELECT 'word', n, n, 'spam' FROM generate_series(2, 1000) n",
    )
    assert [call("POST", "/rules", word | {"value": "x"}).json] == answers("/rules", "post", "409")
    assert [call("DELETE", "/rules/9999").json] == answers("/rules/{id}", "delete", "404")
    for thread in ("/hello-world", "/z"):
        call("PUT", f"/closed-threads?thread={thread}")
    page = call("GET", "/closed-threads?limit=1&after=/a")
    documented = RESOLVED["/closed-threads"]["get"]["responses"]["200"]
    assert [page.json] == answers("/closed-threads", "get", "200")
    assert page.headers["Link"] == documented["headers"]["Link"]["example"]
    assert [call("PUT", "/closed-threads").json] == answers("/closed-threads", "put", "400")
    closed = moderated.post("/comments", json={"name": "Ada", "comment": "Hello", "thread": "/z"})
    assert [closed.json] == answers("/comments", "post", "403")


def test_the_example_of_the_feed_is_real(database: CommentDatabase) -> None:
    client = create_app(Config(site_url="https://blog.example.org"), database).test_client()
    client.post("/comments", json={"name": "Ada", "comment": "Hello", "thread": "/hello-world"})
    operation = RESOLVED["/feed.atom"]["get"]
    answer = client.get("/feed.atom?thread=/hello-world", base_url="http://localhost:5000")
    [media] = operation["responses"]["200"]["content"].values()
    assert [without_ids(shape(answer.text))] == [without_ids(shape(example)) for example in examples_of(media)]
    assert [client.get("/feed.atom?thread=%00").json] == answers("/feed.atom", "get", "400")


def without_ids(text: str) -> str:
    return re.sub("urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", text)


@pytest.mark.parametrize(
    ("path", "method"),
    [(path, method) for path, method, found in operations() if found.get("security") == [{"moderator": []}]],
)
def test_the_examples_of_who_may_not_are_real(moderated: FlaskClient, path: str, method: str) -> None:
    url = path.replace("{id}", "1")
    refused = [moderated.open(url, method=method.upper(), headers=headers).json for headers in ({}, bearer(KEY))]
    assert refused == [*answers(path, method, "401"), *answers(path, method, "403")]


def test_the_example_of_a_page_is_real(client: FlaskClient, database_url: str, database: CommentDatabase) -> None:
    for _ in range(2):
        database.create_comment(Comment(None, "Ada", "Hello", "/hello-world"))
    operation = RESOLVED["/comments"]["get"]
    response = send(client, "/comments", "get", operation)
    documented = operation["responses"]["200"]
    assert shape(response.json) == answers("/comments", "get", "200")[0]
    assert response.headers["Link"] == documented["headers"]["Link"]["example"]
    refused = [client.get("/comments?q=x", headers=headers).json for headers in ({}, bearer(KEY))]
    assert refused == [*answers("/comments", "get", "401"), *answers("/comments", "get", "403")]


def test_the_examples_of_counts_are_real(client: FlaskClient, database_url: str) -> None:
    operation = RESOLVED["/counts"]["get"]
    expected = answers("/counts", "get", "200")
    for number, rows in enumerate([2, COUNTED - 1]):
        sql(
            database_url,
            "INSERT INTO comments (thread, name, comment)"
            " SELECT '/hello-world', 'Ada', 'Hello' FROM generate_series(1, %s)",
            rows,
        )
        assert send(client, "/counts", "get", operation).json == expected[number]
    assert [client.get("/counts").json] == answers("/counts", "get", "400")
