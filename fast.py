"""The two calls that nearly all requests make, a page and a new comment, answered in front of Flask's dispatch.

That takes as long as they do. Nothing is written twice for it: the calls are those of calls.py, which Flask's views
call too, and Flask answers whatever goes wrong in them, and every request that is unusual.
"""

import re
from collections.abc import Iterable
from wsgiref.types import StartResponse

from flask import Flask

from around import begin, finish
from calls import Call, Environ, create_comment, list_comments

FAST: dict[tuple[str, str], Call] = {("GET", "/comments"): list_comments, ("POST", "/comments"): create_comment}
# Of another, Flask may make a 400: of one that can't be a host's name, or has a label of more than 63 characters.
USUAL_HOST = re.compile(r"(?=.{1,63}$)[a-z0-9-]+(\.[a-z0-9-]+)*(:[0-9]+)?", re.ASCII | re.IGNORECASE)
STATUS = {200: "200 OK", 201: "201 CREATED", 304: "304 NOT MODIFIED"}


class FastCalls:
    """A WSGI application (PEP 3333) around Flask's."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._flask = app.wsgi_app

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        begin(environ)
        call = FAST.get((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
        if call is None or not USUAL_HOST.fullmatch(environ.get("HTTP_HOST", "")):
            return self._flask(environ, start_response)
        try:
            answer = call(self._app.extensions["database"], environ)
        except Exception as error:
            return self._answer(error, environ, start_response)
        headers = [*answer.headers, *finish(environ, answer.status, self._app.extensions["config"])]
        if answer.status != 304:
            headers.append(("Content-Length", str(len(answer.body))))
        start_response(STATUS[answer.status], headers)
        return [answer.body]

    def _answer(self, error: Exception, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """What Flask says to an error in one of its views."""
        with self._app.request_context(environ):
            response = self._app.finalize_request(self._app.handle_user_exception(error))
            return response(environ, start_response)
