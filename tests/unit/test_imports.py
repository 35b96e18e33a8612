"""Who may import what of others'; tach.toml has the layers of our own files."""

from support.processes import ROOT
from support.program import imports, program


def importers(name: str) -> set[str]:
    """The files and folders of the program that import this."""
    return {path.relative_to(ROOT).parts[0] for path in program() if name in set(imports(path))}


def test_psycopg2_is_for_postgres_and_for_the_files_that_own_a_table() -> None:
    assert importers("psycopg2") <= {"postgres", "db.py", "statements.py"}


def test_flask_is_for_the_web_and_for_the_commands() -> None:
    assert importers("flask") == {"app.py", "commands", "web"}
    assert [path.name for path in (ROOT / "web").glob("*.py") if "flask" in set(imports(path))] == ["wsgi.py"]


def test_greenlets_are_gunicorn_s_and_of_whoever_waits_for_postgresql() -> None:
    importing = [path.name for path in program() if "gevent" in set(imports(path))]
    assert sorted(importing) == ["gunicorn.conf.py", "waiting.py"]


def test_markdown_and_its_cleaner_are_for_markup() -> None:
    assert importers("pyromark") == importers("nh3") == {"markup.py"}


def test_tokens_are_for_identity() -> None:
    assert [path.name for path in program() if "jwt" in set(imports(path))] == ["identity.py"]
