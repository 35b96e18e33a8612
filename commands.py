"""The admin processes: `flask migrate` and `flask delete-comment` (https://12factor.net/admin-processes)."""

import click
from flask import current_app
from flask.cli import with_appcontext

from connections import DatabaseUnavailable
from db import CommentDatabase, MigrationFailed


@click.command()
@click.option("--status", is_flag=True, help="Only say what is applied.")
@with_appcontext
def migrate(status: bool) -> None:
    """Bring the database's schema up to date.

    Safe at any time, and by any number at once.
    """
    database: CommentDatabase = current_app.extensions["database"]
    try:
        if status:
            for migration in database.migrations():
                click.echo(f"{migration.name}  {migration.applied_at or 'pending'}")
        else:
            applied = database.migrate()
            for name in applied:
                click.echo(f"Applied {name}.")
            if not applied:
                click.echo("The schema is up to date.")
    except (DatabaseUnavailable, MigrationFailed) as error:
        raise failure(error) from error


@click.command()
@click.argument("comment_id", metavar="ID", type=click.IntRange(1, 2**63 - 1))
@with_appcontext
def delete_comment(comment_id: int) -> None:
    """Delete the comment ID for good."""
    database: CommentDatabase = current_app.extensions["database"]
    try:
        is_deleted = database.delete_comment(comment_id)
    except DatabaseUnavailable as error:
        raise failure(error) from error
    if not is_deleted:
        raise click.ClickException(f"There is no comment {comment_id}.")
    click.echo(f"Deleted comment {comment_id}.")


def failure(error: Exception) -> click.ClickException:
    """One line on stderr, with what the database said, and exit status 1."""
    cause = f" ({' '.join(str(error.__cause__).split())})" if error.__cause__ else ""
    return click.ClickException(f"{error}{cause}")
