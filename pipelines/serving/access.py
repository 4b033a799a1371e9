"""Who may ask: the key, and the guard at the door.

On this machine alone no key is needed, but then a web page in the browser must not be able to ask either: requests
that name another host (DNS rebinding), or come from another site, are refused. Anywhere else a key is needed.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from pipelines.serving.errors import ApiError
from toolkit.errors import ConfigError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

KEY_VARIABLE = "HOUSEVOICE_API_KEY"
HEALTH = "/health"  # told to everyone: what watches over a server has no key
_SHORTEST_KEY = 16  # characters; a key of random letters is safe from guessing from about here on
_MAKE_KEY = 'python3 -c "import secrets; print(secrets.token_urlsafe())" > api.key, and: --api-key-file api.key'


def read_key(file: Path | None, environment: Mapping[str, str] = os.environ) -> str | None:
    """Read the key from a file, or else from the environment; None where there is none.

    Raises:
        ConfigError: The file cannot be read, or the key is not one.
    """
    if file is not None:
        try:
            key, place = file.read_text(encoding="utf-8").strip(), str(file)
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"The key in {file} cannot be read: {error}.", f"Make one: {_MAKE_KEY}") from error
    elif KEY_VARIABLE in environment:
        key, place = environment[KEY_VARIABLE].strip(), KEY_VARIABLE
    else:
        return None
    if len(key) < _SHORTEST_KEY or not all("!" <= letter <= "~" for letter in key):
        raise ConfigError(
            f"The key in {place} is not a line of at least {_SHORTEST_KEY} letters, digits and signs.",
            f"Make one: {_MAKE_KEY}",
        )
    return key


def check_exposure(host: str, key: str | None) -> None:
    """Refuse to serve other machines without a key.

    Raises:
        ConfigError: Others could reach the bot, and would be asked for nothing.
    """
    if key is None and not is_loopback(host):
        raise ConfigError(f"On {host} others could reach the bot: that needs a key.", f"Make one: {_MAKE_KEY}")


def is_loopback(host: str) -> bool:
    """Tell whether an address is reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Guard:
    """ASGI middleware that lets in who may ask.

    Args:
        app: The application behind it.
        key: What others have to show, or None on this machine alone.
    """

    def __init__(self, app: ASGIApp, key: str | None) -> None:
        self.app = app
        self._key = _digest(key) if key else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request or pass it on."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        refused = self._refusal(scope) if scope["type"] == "http" else None
        await (refused.response() if refused else self.app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> ApiError | None:
        headers = Headers(scope=scope)
        if self._key is None:
            return _foreign(headers)
        if scope["path"] == HEALTH:
            return None
        scheme, _, shown = headers.get("authorization", "").partition(" ")
        # Compared in the same time however much of it is right, and however long it is.
        if scheme.lower() == "bearer" and hmac.compare_digest(_digest(shown.strip()), self._key):
            return None
        return ApiError(
            401,
            "The key is missing or wrong. Send it as 'Authorization: Bearer KEY'.",
            code="invalid_api_key",
            headers={"WWW-Authenticate": "Bearer"},
        )


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def _foreign(headers: Headers) -> ApiError | None:
    """Refuse what a page of another site could send to this machine."""
    host = headers.get("host", "")
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        name = None
    if name is None or not is_loopback(name):
        message = f"Without a key only this machine may ask, and not as {host!r:.80}. Give the server a key."
        return ApiError(403, message)
    origin = headers.get("origin")
    if origin is not None and origin != f"http://{host}":
        return ApiError(403, "Without a key other sites may not ask. Give the server a key.")
    return None
