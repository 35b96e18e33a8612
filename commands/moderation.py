"""Commands of moderators: held comments, rules, closed threads, and `flask purge`."""

import re
from collections.abc import Callable
from functools import wraps
from typing import Any

import click
from flask import current_app
from flask.cli import AppGroup, with_appcontext

from commands.errors import failure
from comment import MAX_ID, Comment, InvalidInput, clean_thread
from moderation.database import ModerationDatabase
from moderation.finding import Search
from moderation.input import EFFECTS, STATUSES, NewRule, clean_search
from moderation.judge import normalize_word
from moderation.rules import MAX_RULES
from postgres.errors import DatabaseUnavailable

SHOWN = 100  # characters of a text in a list
# Line breaks, and characters that control a terminal.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
NO_EFFECT = "This has no effect: neither ADMIN_TOKEN nor MODERATION is set here."

ID = click.IntRange(1, MAX_ID)

comments = AppGroup("comments", help="Look at comments, and decide about them.")
rules = AppGroup("rules", help="The words and authors whose comments are held.")
threads = AppGroup("threads", help="The threads that take no comments.")


def with_moderation(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the database. An error is one line on stderr."""

    @wraps(command)
    def run(**arguments: Any) -> None:
        try:
            command(ModerationDatabase(current_app.extensions["database"]), **arguments)
        except DatabaseUnavailable as error:
            raise failure(error) from error
        except InvalidInput as error:
            raise click.ClickException(str(error)) from error

    return run


@comments.command("list")
@click.option("--status", type=click.Choice(STATUSES), default="pending", show_default=True)
@click.option("--search", metavar="TEXT", help="Only those with this text, or this name.")
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True)
@with_moderation
def list_comments(moderation: ModerationDatabase, status: str, search: str | None, limit: int) -> None:
    """List comments, the oldest first: id, status, reason, thread, name, text."""
    what, after, left = Search(status, None if search is None else clean_search(search)), None, limit
    while left:
        page = moderation.search(what, left, after)
        for comment in page.comments:
            click.echo(line_of(comment))
        after, left = page.next, left - len(page.comments)
        if after is None:
            break


def line_of(comment: Comment) -> str:
    """A comment in one line, with tabs between the columns."""
    columns = (comment.id, comment.status, comment.reason or "-", comment.thread or "-", comment.name, comment.comment)
    return "\t".join(UNPRINTABLE.sub(" ", str(column))[:SHOWN] for column in columns)


def deciding(name: str, status: str, done: str, about: str) -> None:
    """Add a command that gives comments a status."""

    @comments.command(name, help=about)
    @click.argument("ids", metavar="ID…", type=ID, nargs=-1, required=True)
    @with_moderation
    def decide(moderation: ModerationDatabase, ids: tuple[int, ...]) -> None:
        changed = moderation.set_status(ids, status)
        click.echo(f"{done} {changed} of {len(set(ids))}.")
        if not changed:
            raise click.ClickException("Nothing has changed: each is gone, or has this status already.")


deciding("approve", "published", "Published", "Publish comments that are held.")
deciding("hold", "pending", "Held", "Hold comments.")
deciding("spam", "spam", "Marked as spam", "Mark comments as spam.")
deciding("delete", "deleted", "Deleted", "Delete comments for good.")


@rules.command("list")
@with_moderation
def list_rules(moderation: ModerationDatabase) -> None:
    """List the rules: id, kind, effect, value."""
    for rule in moderation.rules():
        click.echo(f"{rule.id}\t{rule.kind}\t{rule.effect}\t{UNPRINTABLE.sub(' ', rule.value)}")


@rules.command("add")
@click.argument("kind", type=click.Choice(["word", "author"]))
@click.argument("value")
@click.option("--effect", type=click.Choice(EFFECTS), default="pending", show_default=True)
@with_moderation
def add_rule(moderation: ModerationDatabase, kind: str, value: str, effect: str) -> None:
    """Hold what has a word, or what comes from an author.

    VALUE is the word, or the id of one of the author's comments.
    """
    if kind == "word":
        new = NewRule(kind, normalize_word(value), effect)
        author_hash = None
    else:
        if not re.fullmatch("[1-9][0-9]{0,17}", value):
            raise InvalidInput("Value must be the id of a comment.")
        new = NewRule(kind, int(value), effect)
        author_hash = moderation.author_of(int(new.value))
    rule = moderation.add_rule(new.rule(author_hash))
    if rule is None:
        raise click.ClickException(f"There are {MAX_RULES:,} rules already, and there can't be more.")
    click.echo(f"Added rule {rule.id}.")
    warn()


@rules.command("delete")
@click.argument("rule_id", metavar="ID", type=ID)
@with_moderation
def delete_rule(moderation: ModerationDatabase, rule_id: int) -> None:
    """Delete a rule."""
    if not moderation.delete_rule(rule_id):
        raise click.ClickException(f"There is no rule {rule_id}.")
    click.echo(f"Deleted rule {rule_id}.")


@threads.command("list")
@with_moderation
def list_threads(moderation: ModerationDatabase) -> None:
    """List the closed threads."""
    page = moderation.closed_threads(200)
    while page:
        for thread in page:
            click.echo(UNPRINTABLE.sub(" ", thread))
        page = moderation.closed_threads(200, after=page[-1])


@threads.command("close")
@click.argument("thread")
@with_moderation
def close_thread(moderation: ModerationDatabase, thread: str) -> None:
    """Close a thread: it takes no comments any more."""
    moderation.close_thread(clean_thread(thread))
    click.echo("Closed.")
    warn()


@threads.command("open")
@click.argument("thread")
@with_moderation
def open_thread(moderation: ModerationDatabase, thread: str) -> None:
    """Open a closed thread."""
    moderation.open_thread(clean_thread(thread))
    click.echo("Opened.")


def warn() -> None:
    """Say if rules and closed threads have no effect."""
    if not current_app.extensions["config"].is_moderated:
        click.echo(NO_EFFECT, err=True)


@click.command()
@with_appcontext
@with_moderation
def purge(moderation: ModerationDatabase) -> None:
    """Remove old spam, and limits that are over, while the service runs.

    Let cron run it every day.
    """
    spam, limits, keys = moderation.purge(current_app.extensions["config"].spam_days)
    click.echo(f"Removed {spam:,} spam comments, {limits:,} limits and {keys:,} daily keys.")
