"""What PostgreSQL reads for each statement."""

from typing import Any

import pytest

from postgres.deadline import Connection


def record_plans(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """From now on, run each statement twice, the first time to see its plan. The plans are put into the list."""
    fetch = Connection.fetch
    plans: list[dict[str, Any]] = []

    def explain(connection: Connection, statement: str, parameters: Any = ()) -> list[tuple[Any, ...]]:
        settings, end, query = statement.rpartition(";")
        explained = f"{settings}{end}EXPLAIN (ANALYZE, FORMAT JSON) {query}"
        plans.append(fetch(connection, explained, parameters)[0][0][0]["Plan"])
        return fetch(connection, statement, parameters)

    monkeypatch.setattr(Connection, "fetch", explain)
    return plans


def rows_read(plan: dict[str, Any]) -> float:
    """The most rows that a node of a plan has touched, in all its loops, those that a filter then dropped too."""
    each: float = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)  # of a loop, on average
    own: float = each * plan["Actual Loops"]
    return max([own, *(rows_read(child) for child in plan.get("Plans", []))])
