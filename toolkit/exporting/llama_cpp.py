"""A GGUF loaded with llama.cpp, which is what Ollama and LM Studio run: the extra ``llamacpp``."""

from __future__ import annotations

import importlib.util
import json
import os
import secrets
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from toolkit.errors import MissingExtra, ModelError
from toolkit.exporting.agreement import FIRST_TOKENS
from toolkit.progress import Progress

# Says how the threads of an OpenMP library wait for each other.
_WAITING = "OMP_WAIT_POLICY"


def is_installed() -> bool:
    """Tell whether llama.cpp is there, as the package xllamacpp."""
    return importlib.util.find_spec("xllamacpp") is not None


def check_installed(why: str) -> None:
    """See to it that llama.cpp is there.

    Args:
        why: What it is needed for.

    Raises:
        MissingExtra: It is not.
    """
    if not is_installed():
        raise MissingExtra(why, "pip install 'housevoice[llamacpp]'")


def server_settings(file: Path, context: int, replies: int = 1) -> Any:
    """Return the settings of xllamacpp that a GGUF is loaded with.

    Args:
        file: The GGUF.
        context: Tokens of all prompts and replies that are held at once.
        replies: Replies that are written at once.
    """
    import torch

    settings = _loaded().CommonParams()
    settings.model.path = str(file)
    settings.n_ctx, settings.n_parallel, settings.kv_unified = context, replies, True
    # No copy of what was read is kept beside the replies: it has been seen to answer with another adapter's.
    settings.cache_ram_mib, settings.cache_idle_slots = 0, False
    settings.warmup, settings.verbosity, settings.ui = False, -1, False
    # As many threads as PyTorch takes; those that wait in a busy loop stall where the cores have other work.
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = torch.get_num_threads()
    settings.cpuparams.poll = settings.cpuparams_batch.poll = 0
    return settings


def _loaded() -> Any:
    """Return xllamacpp, loaded so that its threads sleep where they wait for each other.

    They would keep a core busy by waiting, and on one that has other work wait for their own turn: replies took five
    times as long there. The variable is read once, by the OpenMP library of xllamacpp alone.
    """
    before = os.environ.get(_WAITING)
    os.environ.setdefault(_WAITING, "passive")
    try:
        import xllamacpp
    finally:
        if before is None:
            del os.environ[_WAITING]
    return xllamacpp


def start_server(settings: Any) -> Any:
    """Load a GGUF, and leave Ctrl-C to this process: xllamacpp takes it for itself.

    Args:
        settings: What :func:`server_settings` returned.

    Returns:
        The ``xllamacpp.Server``.

    Raises:
        ModelError: It cannot be loaded.
    """
    import ctypes
    import signal

    # Python's own functions set a handler in the main thread alone, and a bot may be loaded in any.
    get, put = ctypes.pythonapi.PyOS_getsig, ctypes.pythonapi.PyOS_setsig
    get.restype = put.restype = ctypes.c_void_p
    get.argtypes, put.argtypes = [ctypes.c_int], [ctypes.c_int, ctypes.c_void_p]
    kept = {number: get(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        return _loaded().Server(settings)
    except RuntimeError as error:
        raise ModelError(f"llama.cpp cannot load {Path(settings.model.path).name}: {error}.") from error
    finally:
        for number, handler in kept.items():
            put(number, handler)


def llama_cpp_tokens(
    file: Path,
    adapter: Path | None,
    prompts: Sequence[str],
    tokens: Sequence[Sequence[int]],
    end: int,
    *,
    on_progress: Progress | None = None,
) -> list[list[int]]:
    """Write the first tokens of a reply to each prompt with llama.cpp, the likeliest each time.

    Args:
        file: The GGUF.
        adapter: A GGUF of a LoRA that is put on it.
        prompts: The prompts as text: they are cut into tokens by what stands in the GGUF.
        tokens: The tokens of each prompt by the bot's tokenizer.
        end: The token that ends a reply.
        on_progress: Called before each prompt.

    Raises:
        ModelError: The file cannot be loaded, or cuts a prompt into other tokens.
    """
    server = _Server(file, adapter, max(map(len, tokens), default=0) + FIRST_TOKENS)
    replies = []
    for done, (prompt, expected) in enumerate(zip(prompts, tokens, strict=True)):
        if on_progress:
            on_progress("Asking the export", done, len(prompts))
        if server.tokens(prompt) != list(expected):
            raise ModelError(
                f"llama.cpp cuts a prompt into other tokens, by what stands in {file.name}, than the bot's tokenizer.",
                "Take the bot along with --to merged, and report this base to the makers of housevoice.",
            )
        replies.append(server.reply(prompt, end))
    if on_progress:
        on_progress("Asking the export", len(prompts), len(prompts))
    return replies


class _Server:
    """A GGUF loaded for one conversation at a time.

    Args:
        file: The GGUF.
        adapter: A GGUF of a LoRA that is put on it.
        context: Tokens of the longest prompt and its reply.

    Raises:
        ModelError: It cannot be loaded.
    """

    def __init__(self, file: Path, adapter: Path | None, context: int) -> None:
        xllamacpp = _loaded()
        self._name, self._key = file.name, secrets.token_urlsafe()
        settings = server_settings(file, context)
        # It listens on loopback, whether that is asked for or not: nobody else gets in.
        settings.api_keys = [self._key]
        self._lora: list[dict[str, Any]] = []
        if adapter is not None:
            settings.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(adapter), 1.0)]
            self._lora = [{"id": 0, "scale": 1.0}]
        self._server = start_server(settings)

    def tokens(self, text: str) -> list[int]:
        """Cut a text into tokens, the names of special ones among them."""
        asked = {"content": text, "add_special": False, "parse_special": True}
        return [int(token) for token in self._post("tokenize", asked)["tokens"]]

    def reply(self, prompt: str, end: int) -> list[int]:
        """Write the first tokens of a reply, the one that ends it among them."""
        # By its tokens: as a text, what begins it would be put before it a second time.
        asked = {"prompt": self.tokens(prompt), "n_predict": FIRST_TOKENS, "temperature": 0, "return_tokens": True}
        answer = self._post("completion", asked | {"cache_prompt": False, "lora": self._lora})
        reply = [int(token) for token in answer["tokens"]]
        if answer["stop_type"] == "eos" and reply[-1:] != [end]:
            reply.append(end)
        return reply

    def _post(self, path: str, asked: dict[str, Any]) -> dict[str, Any]:
        """Ask the server.

        Raises:
            ModelError: It could not answer.
        """
        # The functions of xllamacpp give out no tokens of half a letter; the server does.
        request = urllib.request.Request(
            f"{self._server.listening_address}/{path}",
            json.dumps(asked).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {self._key}"},
        )
        # No proxy stands between a process and its own port.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors="replace")
            raise ModelError(f"llama.cpp could not answer from {self._name}: {said}") from error
