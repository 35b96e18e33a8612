"""Commands on comments."""

import sys

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

    If it has replies, it stays in its place, without name and text.
    """
    database: CommentDatabase = current_app.extensions["database"]
    try:
        found = database.find_comment(comment_id)
        is_deleted = found is not None and database.delete_comment(found.comment)
    except DatabaseUnavailable as error:
        raise failure(error) from error
    if not is_deleted:
        raise click.ClickException(f"There is no comment {comment_id}.")
    click.echo(f"Deleted comment {comment_id}.")


@click.command()
@click.option("--after", metavar="ID", type=click.IntRange(0, MAX_ID), default=0, help="Begin after this comment.")
@with_appcontext
def render(after: int) -> None:
    """Make the HTML of all comments again, while the service runs.

    Run it once after an upgrade that changes how texts are shown. Until then the service makes missing HTML each time
    that a comment is read.
    """
    database: CommentDatabase = current_app.extensions["database"]
    comments = changed = 0
    try:
        length = max(0, database.last_id() - after)
        with click.progressbar(length=length, file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
            while done := database.render(after):
                bar.update(done.last_id - after)
                after, comments, changed = done.last_id, comments + done.comments, changed + done.changed
    except (DatabaseUnavailable, KeyboardInterrupt) as error:
        click.echo(f"Stopped. To go on: flask render --after {after}", err=True)
        raise failure(error) if isinstance(error, DatabaseUnavailable) else click.Abort() from error
    click.echo(f"Rendered {comments:,} comments: {changed:,} have changed.")
