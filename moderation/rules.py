"""The statements on the rules of the moderators. Each is a function of a connection, and raises psycopg2.Error."""

from typing import NamedTuple

from postgres.deadline import Connection

MAX_RULES = 1_000

# The version is changed first: so changes wait for each other, and none can exceed MAX_RULES. An existing rule gets the
# new effect.
ADD = f"""
    SET LOCAL transaction_isolation = 'read committed';
    UPDATE rules_version SET version = version + 1;
    INSERT INTO rules (kind, value, matches, effect)
    SELECT %(kind)s, %(value)s, %(matches)s, %(effect)s
    WHERE (SELECT count(*) FROM rules) < {MAX_RULES}
        OR EXISTS (SELECT FROM rules WHERE kind = %(kind)s AND matches = %(matches)s)
    ON CONFLICT (kind, matches) DO UPDATE SET value = excluded.value, effect = excluded.effect
    RETURNING id"""

DELETE = "UPDATE rules_version SET version = version + 1; DELETE FROM rules WHERE id = %s RETURNING id"


class Rule(NamedTuple):
    """What is held: a word, or all comments of an author.

    `kind` is word or author. `value` is the word, or the id of one of the author's comments. `matches` is what is
    compared: the normalized word (moderation/judge.py), or the author's hash in hex. `effect` is pending or spam.
    """

    id: int | None
    kind: str
    value: str
    matches: str
    effect: str

    def to_dict(self) -> dict[str, object]:
        """The rule as the API shows it: the id of an author's comment is a number, and the hash is left out."""
        value: object = int(self.value) if self.kind == "author" else self.value
        return {"id": self.id, "kind": self.kind, "value": value, "effect": self.effect}


def read(connection: Connection) -> tuple[int, list[Rule]]:
    """The version of the rules, and all rules by ascending id."""
    statement = """
        SELECT version, id, kind, value, matches, effect FROM rules_version LEFT JOIN rules ON true ORDER BY id"""
    rows = connection.fetch(statement)
    return rows[0][0], [Rule(*row) for _, *row in rows if row[0] is not None]


def add(connection: Connection, rule: Rule) -> Rule | None:
    """Store a rule, or give the one that matches the same the new effect. None if there are MAX_RULES already."""
    rows = connection.fetch(ADD, rule._asdict())
    return next((rule._replace(id=rule_id) for (rule_id,) in rows), None)


def delete(connection: Connection, rule_id: int) -> bool:
    """Delete a rule; False if it is not there."""
    return bool(connection.fetch(DELETE, (rule_id,)))
