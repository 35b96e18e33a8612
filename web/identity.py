"""Who sends a request, by its Authorization: an author's own key, a token that the site has signed, the ADMIN_TOKEN."""

import hashlib
import hmac
import re
import time
from typing import Any, NamedTuple

from werkzeug.exceptions import Unauthorized

from comment import InvalidInput, clean_name
from config import Config
from web.request import Request

MAX_KEY = 255  # characters
MAX_TOKEN = 4096  # characters
MAX_SUBJECT = 200  # characters
MAX_AHEAD = 24 * 60 * 60  # seconds until a token expires
LEEWAY = 60  # seconds by which the site's clock may differ from ours

# https://datatracker.ietf.org/doc/html/rfc6750#section-2.1
BEARER = re.compile("(?i:Bearer) +([A-Za-z0-9._~+/=-]{22,})")
# https://datatracker.ietf.org/doc/html/rfc7515#section-7.1, in base64url without padding. An unsigned one matches too.
JWT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")

NO_KEY = "The Authorization must be Bearer and a key: 22 to 255 characters of A-Za-z0-9._~+/=-."
NO_JWT = "The Authorization has two dots, as a signed token has, but it is not a valid JWT."


class Identity(NamedTuple):
    """Who sends a request. The service stores the hash only, and never the key, the token or its `sub`.

    `author_hash` is None without an Authorization. `name` is that of a signed token: it replaces a typed name.
    `is_verified`: the request has a signed token or the ADMIN_TOKEN.
    """

    author_hash: bytes | None
    name: str | None
    is_verified: bool
    is_moderator: bool


ANONYMOUS = Identity(None, None, False, False)
# Nobody else has its hash: a key is longer, and the text of a signed token begins with "sub:".
MODERATOR = Identity(hashlib.sha256(b"moderator").digest(), None, True, True)


def load_jwt() -> None:
    """Import PyJWT: half a megabyte, which only a service with AUTH_SECRETS needs."""
    import jwt  # noqa: F401


def identify(request: Request) -> Identity:
    """Who sends this request. Raises Unauthorized."""
    given = request.header("Authorization")
    if given is None:
        return ANONYMOUS
    found = BEARER.fullmatch(given)
    if not found:
        raise Unauthorized(NO_KEY)
    text, config = found[1], request.config
    if config.admin_token is not None and hmac.compare_digest(text, config.admin_token):
        return MODERATOR
    if config.auth_secrets and text.count(".") == 2:
        return user_of(text, config)
    if len(text) > MAX_KEY:
        raise Unauthorized(NO_KEY)
    return Identity(hashlib.sha256(text.encode()).digest(), None, False, False)


def user_of(token: str, config: Config) -> Identity:
    """The user of a signed token. Raises Unauthorized, with a sentence for the developer of the site."""
    claims = read_token(token, config)
    subject = claims["sub"]
    if not isinstance(subject, str) or not 1 <= len(subject) <= MAX_SUBJECT:
        raise Unauthorized(f"The claim sub of the token must be a string of 1 to {MAX_SUBJECT} characters.")
    if int(claims["exp"]) > time.time() + MAX_AHEAD + LEEWAY:
        raise Unauthorized("The token must expire within 24 hours.")
    try:
        name = clean_name(claims["name"])
    except InvalidInput as error:
        raise Unauthorized(f"The claim name of the token is not valid. {error}") from None
    # A lone surrogate is allowed here: only the hash is kept.
    author_hash = hashlib.sha256(b"sub:" + subject.encode("utf-8", "surrogatepass")).digest()
    is_moderator = config.admin_token is not None and claims.get("role") == "moderator"
    return Identity(author_hash, name, is_verified=True, is_moderator=is_moderator)


def read_token(token: str, config: Config) -> dict[str, Any]:
    """The claims of a JWT (RFC 7519). Raises Unauthorized if one is missing, a time or the signature is not valid.

    https://datatracker.ietf.org/doc/html/rfc8725 says which attacks this must stop.
    """
    import jwt

    if len(token) > MAX_TOKEN:
        raise Unauthorized(f"The token must not be longer than {MAX_TOKEN:,} characters.")
    if not JWT.fullmatch(token):
        raise Unauthorized(NO_JWT)
    sentences = {
        jwt.InvalidAlgorithmError: "The token must be signed with HS256.",
        jwt.ExpiredSignatureError: "The token has expired.",
        jwt.ImmatureSignatureError: "The token is not valid yet: its iat or nbf is in the future.",
        jwt.InvalidAudienceError: "The token is for another audience (aud).",
    }
    for secret in config.auth_secrets:
        try:
            return jwt.decode(
                token,
                secret,
                algorithms=["HS256"],
                audience=config.auth_audience,
                leeway=LEEWAY,
                options={
                    "require": ["sub", "name", "exp"],
                    "verify_sub": False,  # by user_of(), with its length
                    "verify_aud": config.auth_audience is not None,
                },
            )
        except jwt.InvalidSignatureError:
            continue  # with another secret, perhaps
        except jwt.MissingRequiredClaimError as error:
            raise Unauthorized(f"The token lacks the claim {error.claim}.") from None
        except jwt.InvalidTokenError as error:
            raise Unauthorized(sentences.get(type(error), NO_JWT)) from None
    raise Unauthorized("The token is not signed with a secret of this service.")
