"""Taking a port, and running an application on it until Ctrl-C."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import uvicorn

from toolkit.errors import ConfigError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

_LEAVE_SECONDS = 1  # for replies that are being sent when the server ends
_OTHER_PORT = 7861  # where the next one up is not for everyone


def listen(host: str, port: int) -> socket.socket:
    """Take a port before anything is built for it.

    Args:
        host: An address or a name of this machine.
        port: A port from 1 to 65535.

    Raises:
        ConfigError: It is taken, or not ours to take, or the address is not one of this machine.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except socket.gaierror as error:
        raise ConfigError(f"There is no machine called {host}.", "Give an address of this one: --host") from error
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            message = f"{host} is not an address of this machine."
            raise ConfigError(message, "Give one that it has: --host") from error
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        reason = "is in use" if error.errno == errno.EADDRINUSE else "may not be used by you"
        other = port + 1 if 1024 <= port < 65535 else _OTHER_PORT
        raise ConfigError(f"Port {port} {reason}.", f"Choose another one: --port {other}") from error


def address_of(listener: socket.socket) -> str:
    """Return the address that a listener is reached at, as the start of a URL."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run_app(app: ASGIApp, listener: socket.socket, *, ready: Callable[[], None], leave: Callable[[], None]) -> None:
    """Serve an application until Ctrl-C.

    Args:
        app: The application.
        listener: What :func:`listen` returned.
        ready: Called once the application can be reached.
        leave: Called when the server is to end, before it waits for what is being sent.

    Raises:
        KeyboardInterrupt: Ctrl-C ended it.
    """
    settings = uvicorn.Config(
        app, log_level="critical", access_log=False, server_header=False, timeout_graceful_shutdown=_LEAVE_SECONDS
    )
    _Server(settings, ready, leave).run(sockets=[listener])


class _Server(uvicorn.Server):
    """A server that says when it can be reached and lets go of what is being said when it ends."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None], leave: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready
        self._leave = leave

    async def startup(self, sockets: list[Any] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[Any] | None = None) -> None:
        """Stop the model first, so that nothing waits for it."""
        self._leave()
        await super().shutdown(sockets)
