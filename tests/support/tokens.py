"""Tokens as a site signs them (RFC 7519), and as an attacker forges them: by hand, so that no library refuses to."""

import hmac
import json
import time
from base64 import urlsafe_b64encode

SECRET = "0123456789abcdef0123456789abcdef"  # noqa: S105
HS256 = {"alg": "HS256", "typ": "JWT"}


def base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def encoded(value: object) -> str:
    return base64url(value if isinstance(value, bytes) else json.dumps(value).encode())


def signature(text: str, secret: str = SECRET, digest: str = "sha256") -> str:
    return base64url(hmac.digest(secret.encode(), text.encode(), digest))


def claims(**changes: object) -> dict[str, object]:
    """Those of a token that is valid for half a day; a change to None leaves the claim out."""
    usual: dict[str, object] = {"sub": "user-1", "name": "Ada", "exp": int(time.time()) + 43_200}
    return {name: value for name, value in (usual | changes).items() if value is not None}


def signed(payload: object, header: object = HS256, secret: str = SECRET) -> str:
    """What is signed like a token, whatever it contains."""
    text = f"{encoded(header)}.{encoded(payload)}"
    return f"{text}.{signature(text, secret)}"


def token(**changes: object) -> str:
    """A token with these claims."""
    return signed(claims(**changes))
