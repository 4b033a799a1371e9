"""Memory that is no longer used, given back."""

from __future__ import annotations

import sys


def release_memory() -> None:
    """Give memory that is no longer used back to the system.

    glibc keeps what was freed in pieces that the next batch, of another length, does not fit: a tune on a CPU holds a
    gigabyte more without this, and the next model would come on top of it.
    """
    import ctypes
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
