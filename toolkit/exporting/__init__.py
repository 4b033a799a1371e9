"""A bot's model for other programs: merged weights, GGUF with or without its adapter, Ollama's Modelfile, the proof."""

from toolkit.exporting.adapters import LowRank, check_apart, check_merges, copy_adapter, low_rank, merged_into
from toolkit.exporting.agreement import Agreement, greedy_tokens, judge
from toolkit.exporting.families import family_of, rope_factors
from toolkit.exporting.gguf_files import BYTES, QUANTIZATIONS, Quantization, round_weights, write_adapter, write_model
from toolkit.exporting.modelfile import modelfile, turns_of
from toolkit.exporting.vocabulary import split_name

__all__ = [
    "BYTES",
    "QUANTIZATIONS",
    "Agreement",
    "LowRank",
    "Quantization",
    "check_apart",
    "check_merges",
    "copy_adapter",
    "family_of",
    "greedy_tokens",
    "judge",
    "low_rank",
    "merged_into",
    "modelfile",
    "rope_factors",
    "round_weights",
    "split_name",
    "turns_of",
    "write_adapter",
    "write_model",
]
