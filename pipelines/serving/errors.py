"""Refusals in OpenAI's shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse

# By status, as OpenAI names them; what is not here is the client's to mend.
_TYPES = {429: "requests", 500: "server_error", 503: "server_error"}


class ApiError(Exception):
    """A request that is not answered.

    Args:
        status: The HTTP status.
        message: What is wrong and what to do about it.
        code: What a program tells it by.
        param: The field of the request that is wrong.
        headers: Headers of the response.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})
        kind = _TYPES.get(status, "invalid_request_error")
        self.body: dict[str, Any] = {"error": {"message": message, "type": kind, "param": param, "code": code}}

    def response(self) -> JSONResponse:
        """Return it as a response."""
        return JSONResponse(self.body, self.status, self.headers)
