"""Commands on comments."""

import click
from flask import current_app
from flask.cli import with_appcontext

from commands.errors import failure
from db import MAX_ID, CommentDatabase
from postgres.errors import DatabaseUnavailable


@click.command()
@click.argument("comment_id", metavar="ID", type=click.IntRange(1, MAX_ID))
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
