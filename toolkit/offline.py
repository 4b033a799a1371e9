"""What the libraries would send or fetch unasked, turned off before they are imported.

What a person asks for, such as a base model by its id on the hub, is fetched as ever.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
import threading

# Each is looked at when its library is imported or first used; one that is set already stays as it is.
_SWITCHES = {
    "HF_HUB_DISABLE_TELEMETRY": "1",  # huggingface_hub, and through it TRL: a message for each trainer
    "GRADIO_ANALYTICS_ENABLED": "False",  # gradio, and its look for a newer version
    "ANONYMIZED_TELEMETRY": "False",  # chromadb
    "ORT_DISABLE_TELEMETRY": "1",  # onnxruntime, which chromadb loads
}
_TRUE = ("1", "ON", "YES", "TRUE")  # as huggingface_hub reads it
_importing = threading.Lock()


def call_nobody() -> None:
    """Keep libraries from sending word of how they are used; to be called before they are imported."""
    for name, value in _SWITCHES.items():
        os.environ.setdefault(name, value)
    hub = sys.modules.get("huggingface_hub.constants")
    if hub is not None and os.environ["HF_HUB_DISABLE_TELEMETRY"].upper() in _TRUE:
        # It was imported before, and reads the switch but once.
        setattr(hub, "HF_HUB_DISABLE_TELEMETRY", True)  # noqa: B010 - an attribute of huggingface_hub's own


def load_bitsandbytes() -> None:
    """Import bitsandbytes, where it is installed, without its look for a kernel on the hub.

    On a processor with AVX512-BF16 it asks the package ``kernels`` for one while it is imported, which fetches code
    and runs it; where it gets none it says so on the screen. The kernel would only be a faster one. PEFT imports
    bitsandbytes, so this has to come before PEFT as well as before weights in four bits.
    """
    if "bitsandbytes" in sys.modules or importlib.util.find_spec("bitsandbytes") is None:
        return
    with _importing:
        said = logging.getLogger("bitsandbytes.backends.cpu.ops")
        before, disabled = sys.modules.get("kernels"), said.disabled
        sys.modules["kernels"] = None  # type: ignore[assignment]  # an import of it fails at once
        said.disabled = True
        try:
            import bitsandbytes  # noqa: F401
        finally:
            said.disabled = disabled
            if before is None:
                del sys.modules["kernels"]
            else:
                sys.modules["kernels"] = before
