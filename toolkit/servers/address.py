"""Where a model is that runs elsewhere: what ``base.model`` and ``knowledge.embedder`` say of a server."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

_NAMED = re.compile(r"(?P<kind>[a-z][a-z0-9]+):(?P<model>.+?)(?:@(?P<url>https?://\S+))?")
_LOOPBACK = re.compile(r"localhost|127(\.\d+){3}|::1")
OPENAI_HOST = "api.openai.com"


@dataclass(frozen=True)
class Preset:
    """A server that is known by its name.

    Attributes:
        url: Where it listens if nobody told it otherwise.
        start: How it is started.
        fetch: How a model is put there.
    """

    url: str
    start: str
    fetch: str


# Ports: each server's own default.
PRESETS = {
    "ollama": Preset("http://127.0.0.1:11434/v1", "ollama serve", "ollama pull {model}"),
    "lmstudio": Preset("http://127.0.0.1:1234/v1", "lms server start", "lms get {model}"),
    "vllm": Preset("http://127.0.0.1:8000/v1", "vllm serve {model}", "vllm serve {model}"),
    "llamacpp": Preset(
        "http://127.0.0.1:8080/v1",
        "llama-server --model FILE.gguf --alias {model}",
        "llama-server --model FILE.gguf --alias {model}",
    ),
    "transformers": Preset("http://127.0.0.1:8000/v1", "transformers serve {model}", "transformers serve {model}"),
}
KINDS = ("openai", *PRESETS)


@dataclass(frozen=True)
class ModelAddress:
    """A model on a server that speaks the OpenAI protocol.

    Attributes:
        kind: ``openai``, or the name of a preset.
        model: What the server calls the model.
        url: The root of the protocol, without a slash at its end.
    """

    kind: str
    model: str
    url: str

    def __str__(self) -> str:
        """Return it as settings name it."""
        preset = PRESETS.get(self.kind)
        return f"{self.kind}:{self.model}" + ("" if preset and preset.url == self.url else f"@{self.url}")

    @property
    def host(self) -> str:
        """The machine that the server runs on."""
        return urlsplit(self.url).hostname or ""

    @property
    def is_local(self) -> bool:
        """Whether the server runs on this machine."""
        return _LOOPBACK.fullmatch(self.host) is not None

    @property
    def key_name(self) -> str:
        """The environment variable that the key is read from.

        It names the server, so that a bot folder from elsewhere cannot send a key to another one than it is for.
        """
        if self.host == OPENAI_HOST:
            return "OPENAI_API_KEY"
        return "HOUSEVOICE_KEY_" + re.sub(r"\W", "_", urlsplit(self.url).netloc).upper()

    @property
    def key(self) -> str | None:
        """The key, or None where there is none."""
        return os.environ.get(self.key_name) or None


def model_address(name: str) -> ModelAddress | None:
    """Read the address of a model on a server.

    Args:
        name: ``openai:<model>@<url>``, or ``<preset>:<model>`` with or without a URL.

    Returns:
        The address, or None for a name of another kind: a folder, an id of the hub, or ``bundled``.

    Raises:
        ValueError: It looks like an address and is none.

    Example:
        >>> model_address("ollama:llama3.2").url
        'http://127.0.0.1:11434/v1'
        >>> str(model_address("openai:small@https://models.example.org/"))
        'openai:small@https://models.example.org/v1'
        >>> model_address("org/model")
    """
    found = _NAMED.fullmatch(name)
    if found is None:
        return None
    kind, model, url = found["kind"], found["model"], found["url"]
    if kind not in KINDS:
        raise ValueError(f"no server is known as '{kind}'; known are {', '.join(KINDS)}")
    if url is None:
        if kind == "openai":
            raise ValueError("'openai:' needs the address of a server: openai:<model>@<url>")
        url = PRESETS[kind].url
    parts = urlsplit(url)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("a server's address may hold no name, key or query; keys are read from the environment")
    return ModelAddress(kind, model, url.rstrip("/") + ("/v1" if parts.path in ("", "/") else ""))
