"""The source of the program."""

import ast
from collections.abc import Iterator
from pathlib import Path

from support.processes import ROOT

# The folders that do not run in production.
NOT_THE_PROGRAM = {"bench", "docs", "instance", "tests"}
EMBEDDED = ROOT / "postgres" / "embedded.py"  # of development only


def program() -> list[Path]:
    """The Python files that run in production."""
    found = (path.relative_to(ROOT) for path in ROOT.rglob("*.py") if path != EMBEDDED)
    return [ROOT / path for path in found if path.parts[0] not in NOT_THE_PROGRAM and path.parts[0][0] != "."]


def imports(path: Path) -> Iterator[str]:
    """The top-level modules that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]
