"""What the server lets in, and what the page may reach: this machine, this page, nothing else.

Gradio serves more than a chat needs: uploads, files, proxies, run histories, monitoring. The guard stands in front
of it and lets through what the page uses.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse, Response

from pipelines.serving.limits import MAX_BODY

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOSTS = ["127.0.0.1", "localhost"]

_PAGES = {"/", "/config", "/theme.css", "/favicon.ico", "/gradio_api/startup-events"}
_FOLDERS = (
    "/assets/",
    "/static/",
    "/gradio_api/heartbeat/",
    "/gradio_api/queue/",
    "/gradio_api/run/",
)
_POSTS = {"/gradio_api/queue/join", "/gradio_api/cancel", "/gradio_api/reset"}

_POLICY = (
    "default-src 'none'; script-src 'self'{hashes}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; base-uri 'self'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_ICON = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="8" fill="#0f766e"/>'
    b'<path d="M8 9h16v11H15l-5 4v-4H8z" fill="#fff"/></svg>'
)
# Addresses of Gradio's own site in the head of its page: previews for chat programs, and an app manifest.
_ADVERTS = re.compile(r'<meta\s+(?:property="og:|name="twitter:)[^>]*>|<link rel="manifest"[^>]*>')
_SCRIPT = re.compile(r"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL)


class Guard:
    """ASGI middleware that refuses what the page does not need and tells the browser to stay here.

    Args:
        app: The application behind it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        # A foreign name may have been made to point at this machine (DNS rebinding).
        self._of_this_machine = TrustedHostMiddleware(self._answer, allowed_hosts=HOSTS, www_redirect=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, refuse, or pass a request on."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await self._of_this_machine(scope, receive, _marked(send))
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = refusal(scope)
        if refused is not None:
            await refused(scope, receive, send)
        elif scope["path"] == "/favicon.ico":
            await Response(_ICON, media_type="image/svg+xml")(scope, receive, send)
        elif scope["path"] == "/":
            await self._page(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _page(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the page without its foreign addresses, and with the hashes of the scripts that are in it."""
        body = b""
        start: Message = {}

        async def collect(message: Message) -> None:
            nonlocal body, start
            if message["type"] == "http.response.start":
                start = message
            else:
                body += message.get("body", b"")

        # A compressed page could not be read here, and a query could ask Gradio for a saved state.
        headers = [(key, value) for key, value in scope["headers"] if key != b"accept-encoding"]
        await self.app({**scope, "headers": headers, "query_string": b""}, receive, collect)
        page = _ADVERTS.sub("", body.decode())
        policy = _POLICY.format(hashes="".join(f" '{script_hash(text)}'" for text in _SCRIPT.findall(page)))
        response = Response(
            page, start["status"], {"Content-Security-Policy": policy, "Cache-Control": "no-store"}, "text/html"
        )
        await response(scope, receive, send)


def _marked(send: Send) -> Send:
    """Put what the browser has to keep to on every response, on refusals as well."""

    async def send_marked(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.update(_HEADERS)
            headers.setdefault("Content-Security-Policy", _POLICY.format(hashes=""))
        await send(message)

    return send_marked


def refusal(scope: Scope) -> Response | None:
    """Return why a request that names this machine is not let through, or None."""
    headers = Headers(scope=scope)
    path, method = scope["path"], scope["method"]
    origin = headers.get("origin")
    if origin is not None and origin != f"http://{headers['host']}":
        return PlainTextResponse("Other sites may not ask.", 403)
    if not (path in _PAGES or path in _POSTS or path.startswith(_FOLDERS)):
        return PlainTextResponse("Not found.", 404)
    if method not in ("GET", "HEAD") and not _small_enough(headers):
        return PlainTextResponse("Too long.", 413)
    return None


def _small_enough(headers: Headers) -> bool:
    """Tell whether a body says its length, and the length is modest."""
    length = headers.get("content-length", "")
    return length.isdecimal() and int(length) <= MAX_BODY


def script_hash(text: str) -> str:
    """Return the source expression that allows one inline script, as CSP level 2 defines it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
