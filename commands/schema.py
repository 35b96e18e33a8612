"""Commands on the database's schema."""

import click
from flask import current_app
from flask.cli import with_appcontext

from commands.errors import failure
from postgres import migrations
from postgres.errors import DatabaseUnavailable


@click.command()
@click.option("--status", is_flag=True, help="Only say what is applied.")
@with_appcontext
def migrate(status: bool) -> None:
    """Bring the database's schema up to date.

    Safe at any time, and by any number at once.
    """
    database_url: str = current_app.extensions["config"].database_url
    try:
        if status:
            for migration in migrations.status(database_url):
                click.echo(f"{migration.name}  {migration.applied_at or 'pending'}")
        else:
            applied = migrations.migrate(database_url)
            for name in applied:
                click.echo(f"Applied {name}.")
            if not applied:
                click.echo("The schema is up to date.")
    except (DatabaseUnavailable, migrations.MigrationFailed) as error:
        raise failure(error) from error
