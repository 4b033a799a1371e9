"""Base models: found, loaded and named by their content, each automatic choice with its reason."""

from toolkit.models.bundled import BUNDLED_PACKAGE, cache_folder
from toolkit.models.choices import Choice, choose_device, choose_dtype, choose_quantization
from toolkit.models.fingerprints import fingerprint
from toolkit.models.loading import LoadedModel, load_base, load_tokenizer, locate_base
from toolkit.models.memory import release_memory

__all__ = [
    "BUNDLED_PACKAGE",
    "Choice",
    "LoadedModel",
    "cache_folder",
    "choose_device",
    "choose_dtype",
    "choose_quantization",
    "fingerprint",
    "load_base",
    "load_tokenizer",
    "locate_base",
    "release_memory",
]
