"""Commands on what moderation keeps."""

import click
from flask import current_app
from flask.cli import with_appcontext

from commands.errors import failure
from moderation.database import ModerationDatabase
from postgres.errors import DatabaseUnavailable


@click.command()
@with_appcontext
def purge() -> None:
    """Remove what is of no use any more, while the service runs.

    Let cron run it every day.
    """
    database = ModerationDatabase(current_app.extensions["database"])
    try:
        removed = database.purge(current_app.extensions["config"].spam_days)
    except DatabaseUnavailable as error:
        raise failure(error) from error
    click.echo(
        f"Removed {removed.spam:,} spam comments, {removed.limits:,} limits and {removed.daily_keys:,} daily keys."
    )
