"""Commands on comments."""

import click
from flask import current_app
from flask.cli import with_appcontext

from commands.errors import failure
from comment import MAX_ID
from db import CommentDatabase
from postgres.errors import DatabaseUnavailable


@click.command()
@click.argument("comment_id", metavar="ID", type=click.IntRange(1, MAX_ID))
@with_appcontext
def delete_comment(comment_id: int) -> None:
    """Delete the comment ID for good.

    If it has replies, a comment without a name and a text stays in its place.
    """
    database: CommentDatabase = current_app.extensions["database"]
    try:
        comment = database.get_comment(comment_id)
        is_deleted = comment is not None and database.delete_comment(comment)
    except DatabaseUnavailable as error:
        raise failure(error) from error
    if not is_deleted:
        raise click.ClickException(f"There is no comment {comment_id}.")
    click.echo(f"Deleted comment {comment_id}.")
