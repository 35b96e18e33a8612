"""The HTTP API: its routes, and how the parts are put together.

`flask run`, gunicorn and the tests all start from create_app().
"""

from dataclasses import replace

from flask import Flask

from commands import COMMANDS
from config import Config, ConfigError
from db import CommentDatabase
from logs import configure_logging
from postgres.errors import InvalidDatabaseURL
from postgres.waiting import IS_GREEN
from web import comments, feed, moderation, preview, service, view
from web.identity import load_jwt
from web.wsgi import Application, Route, add_routes

# Every call of the API. Flask's rules, the fast way, the Allow of a 405 and the methods of CORS are derived from this
# table. A test compares it with openapi.yaml and README.md. Each GET has a HEAD too, and each path has OPTIONS.
ROUTES = (
    Route("GET", "/comments", comments.list_comments, is_fast=True),
    Route("POST", "/comments", comments.create_comment, is_fast=True),
    Route("PATCH", "/comments", moderation.decide_several),
    Route("GET", "/comments/<id>", comments.get_comment),
    Route("PATCH", "/comments/<id>", comments.edit_comment),
    Route("DELETE", "/comments/<id>", comments.delete_comment),
    Route("GET", "/counts", comments.count_comments),
    Route("GET", "/closed-threads", moderation.list_closed_threads),
    Route("PUT", "/closed-threads", moderation.close_thread),
    Route("DELETE", "/closed-threads", moderation.open_thread),
    Route("GET", "/feed.atom", feed.show_feed),
    Route("GET", "/fragment", view.show_fragment),
    Route("GET", "/healthz", service.health),
    Route("GET", "/openapi.yaml", service.contract),
    Route("POST", "/preview", preview.preview),
    Route("GET", "/readyz", service.readiness),
    Route("GET", "/rules", moderation.list_rules),
    Route("POST", "/rules", moderation.add_rule),
    Route("DELETE", "/rules/<id>", moderation.delete_rule),
    Route("GET", "/view", view.show_view),
    Route("POST", "/view", view.post_view),
)


def pages() -> tuple[Route, ...]:
    """The pages of moderators, which are not part of the API. Without an ADMIN_TOKEN none of their code is imported."""
    from web import admin, page, session

    return (
        Route("GET", "/admin", admin.show_comments),
        Route("POST", "/admin", admin.decide),
        Route("GET", "/admin/rules", admin.show_rules),
        Route("POST", "/admin/rules", admin.change_rules),
        Route("GET", "/admin/closed-threads", admin.show_closed_threads),
        Route("POST", "/admin/closed-threads", admin.change_closed_threads),
        Route("GET", "/admin/sign-in", session.show_sign_in),
        Route("POST", "/admin/sign-in", session.sign_in),
        Route("POST", "/admin/sign-out", session.sign_out),
        Route("GET", "/admin/static/<name>", page.static_file),
    )


def create_app(config: Config | None = None, database: CommentDatabase | None = None) -> Flask:
    """The WSGI application; without arguments it is what the environment says. Raises ConfigError.

    It connects to nothing yet, but an embedded database is started.
    """
    config = config or Config.from_environment()
    configure_logging(config)
    if database is None:
        config = replace(config, database_url=config.database_url or embedded_database_url())
        database = open_database(config)
    if config.auth_secrets:
        load_jwt()
    app = Flask(__name__, static_folder=None)
    # /comments/ is /comments, and /comments//1 is nothing: by default Werkzeug redirects both, with a page of HTML.
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    app.extensions.update(config=config, database=database)
    add_routes(app, ROUTES + (pages() if config.admin_token else ()))
    app.wsgi_app = Application(app.wsgi_app, ROUTES, config, database)  # type: ignore[method-assign]
    for command in COMMANDS:
        app.cli.add_command(command)
    return app


def open_database(config: Config) -> CommentDatabase:
    """The database that the configuration names. Raises ConfigError."""
    try:
        return CommentDatabase(
            config.database_url or "",
            config.database_connections,
            caches_pages=config.page_cache == "on",
            shares=IS_GREEN,
            may_hold=config.is_moderated,
        )
    except InvalidDatabaseURL as error:
        what = f" with a valid {error}" if str(error) else ""
        raise ConfigError(f"DATABASE_URL must be a URL{what} that libpq can read (it is not shown here).") from None


def embedded_database_url() -> str:
    """Start the PostgreSQL of the first five minutes. In production there is none. Raises ConfigError."""
    try:
        from postgres import embedded
    except ImportError:
        raise ConfigError("DATABASE_URL must be set, to something like postgresql://user@host/database.") from None
    return embedded.start()
