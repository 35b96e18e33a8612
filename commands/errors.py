"""How a command says what went wrong."""

import click


def failure(error: Exception) -> click.ClickException:
    """One line on stderr, with what the database said, and exit status 1."""
    cause = f" ({' '.join(str(error.__cause__).split())})" if error.__cause__ else ""
    return click.ClickException(f"{error}{cause}")
