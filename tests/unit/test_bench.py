"""bench/: what is computed from its rounds, and what is compared. `make bench` takes minutes, and peers of its own."""

import pytest
from contenders import BEFORE, FASTAPI, ISSO, WITH_MARKUP, XTD, agrees, normal, openings
from report import AGAINST_BEFORE, ORDER, TITLES, Results, bars, markdown, ratio
from texts import MARKUP, SEEDS, TEXT
from turns import CLIENTS, STATEMENTS, WORKLOADS, Round, literal

from comment import Comment
from markup import render

from support.html import Document


def test_a_ratio_is_the_median_of_those_within_each_round() -> None:
    """A machine that is slow for a while is slow for everybody."""
    rates = [(100.0, 50.0), (10.0, 4.0), (1000.0, 1000.0)]
    rounds: list[Round] = [{"GET": {"one": {"rate": one}, "two": {"rate": two}}} for one, two in rates]
    assert str(ratio(rounds, ("GET", "one"), ("GET", "two"))) == "2.00 (1.00 to 2.50)"


def results(names: tuple[str, ...]) -> Results:
    metrics = {"rate": 10.0, "p50": 1.0, "p99": 2.0, "cpu": 0.1}
    rounds: list[Round] = [{workload: {name: metrics.copy() for name in names} for workload in WORKLOADS}]
    one = dict.fromkeys(names, 1.0)
    starts, sizes = {key: [1.0] for key in names}, dict.fromkeys(names, 50_000)
    return Results("make bench", "18.6", dict.fromkeys((1, CLIENTS), rounds), [], starts, sizes, one)


def test_the_report_has_each_workload_and_each_goal() -> None:
    lines = markdown(results(ORDER)).splitlines()
    assert [line[3:] for line in lines if line[3:] in TITLES.values()] == [TITLES[workload] for workload in WORKLOADS]
    for workload, must, aim in AGAINST_BEFORE:
        for clients in ("1 client", "16 clients"):
            goal = f"| {workload} at {clients}, against the release before | ≥ {must} | ≥ {aim} | 1.00 | reached |"
            assert goal in lines


def test_the_report_needs_no_release_before() -> None:
    assert f"against {BEFORE}" not in markdown(results(tuple(name for name in ORDER if name != BEFORE)))


def test_the_plot_has_the_workloads_that_all_have() -> None:
    assert all(bar.keys() == {"GET", "POST"} for bar in bars(results((FASTAPI, ISSO, XTD, "comments"))).values())


FIVE = {"id": 1, "name": "Ada", "comment": "Hello", "thread": "/post", "created_at": "2026-11-23T08:10:00.123456Z"}
SIX = FIVE | {"parent_id": None}


def test_a_release_before_may_lack_the_last_fields() -> None:
    assert agrees(SIX, SIX, may_lack_fields=False)
    assert agrees(FIVE, SIX, may_lack_fields=True)


@pytest.mark.parametrize(
    ("comment", "may_lack_fields"),
    [
        (FIVE, False),
        (SIX | {"html": ""}, False),
        (SIX | {"html": ""}, True),
        (SIX | {"name": "Grace"}, True),
        (FIVE | {"name": "Grace"}, True),
        (dict(sorted(SIX.items())), False),
        ({name: value for name, value in SIX.items() if name != "thread"}, True),
    ],
)
def test_other_fields_or_values_are_a_difference(comment: dict[str, object], may_lack_fields: bool) -> None:
    assert not agrees(comment, SIX, may_lack_fields)


def test_times_may_be_written_in_several_ways() -> None:
    edited = FIVE | {"edited_at": "2026-11-23T08:12:00Z"}
    other = FIVE | {"created_at": "2026-11-23T08:10:00.123456+00:00", "edited_at": "2026-11-23T08:12:00.000000Z"}
    assert normal(edited) == normal(other)
    assert normal(FIVE | {"edited_at": None})["edited_at"] is None


def test_pgbench_runs_what_the_service_sends() -> None:
    assert STATEMENTS.keys() == {"GET", "POST", WITH_MARKUP}
    assert "LIMIT 101;" in STATEMENTS["GET"]
    assert literal(render(TEXT)) in STATEMENTS["POST"]
    assert literal(render(MARKUP)) in STATEMENTS[WITH_MARKUP]
    assert all("%s" not in statement for statement in STATEMENTS.values())
    assert literal("it's") == "'it''s'"


def test_the_texts_are_comments_as_the_service_stores_them() -> None:
    for text in SEEDS:
        assert Comment(None, "Ada", text).comment == text.strip()
    assert openings(list(SEEDS)) == openings([render(text) for text in SEEDS]) == [1] * len(SEEDS)
    assert 100 % len(SEEDS) == 0


def test_one_workload_has_markup_and_one_has_none() -> None:
    assert render(TEXT) == f"<p>{TEXT}</p>"
    assert Document(render(MARKUP)).tags == {"p", "em", "a", "code"}
