"""A byte-level BPE tokenizer in the head of a GGUF: tokens, merges, splits, special tokens, chat template."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from toolkit.errors import ModelError
from toolkit.exporting.families import REMEDY
from toolkit.prompts import stop_token_ids, template_of

if TYPE_CHECKING:
    from gguf import GGUFWriter
    from transformers import PreTrainedTokenizerBase

# The patterns that two families split text by; the tokenizers of both hold them as they stand here.
_QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_LLAMA3 = _QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
# What a tokenizer of the library tokenizers does before it merges -> what llama.cpp calls the same.
_SPLITS: Mapping[tuple[tuple[str, Any], ...], str] = MappingProxyType(
    {
        (("ByteLevel", True),): "gpt-2",
        (("Digits", True), ("ByteLevel", True)): "smollm",
        (("Split", _QWEN2), ("ByteLevel", False)): "qwen2",
        (("Split", _LLAMA3), ("ByteLevel", False)): "llama-bpe",
    }
)
# What tells one step from another of its kind.
_TELLING: Mapping[str, str] = MappingProxyType({"ByteLevel": "use_regex", "Digits": "individual_digits"})


def split_name(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return llama.cpp's name for how a tokenizer splits text before it merges.

    It is read off the tokenizer that the bot uses, and not off the name of the model: the bundled one was rebuilt
    from a GGUF without the splitting of digits, and its voice was trained on the tokens that this gives.

    Raises:
        ModelError: It is no byte-level BPE, or splits in another way than those that are known here.
    """
    parts = _parts(tokenizer)
    before = parts["pre_tokenizer"] or {}
    steps = before.get("pretokenizers", [before])
    found = tuple(_step(step) for step in steps)
    name = _SPLITS.get(found)
    normal = (parts["normalizer"] or {"type": "NFC"})["type"]  # llama.cpp normalises nothing, and people write NFC
    if parts["model"]["type"] != "BPE" or name is None or normal != "NFC":
        raise ModelError("The tokenizer of this model is of a kind that is not written into a GGUF here.", REMEDY)
    return name


def add_vocabulary(writer: GGUFWriter, tokenizer: PreTrainedTokenizerBase, size: int) -> None:
    """Write a tokenizer into the head of a GGUF.

    Args:
        writer: Of the GGUF.
        tokenizer: The tokenizer.
        size: Rows of the model's embedding; tokens that it has beyond those of the tokenizer are marked as unused.

    Raises:
        ModelError: The tokenizer is of a kind that is not written here.
    """
    from gguf import TokenType

    split, parts = split_name(tokenizer), _parts(tokenizer)
    tokens = [f"[PAD{number}]" for number in range(size)]
    kinds = [TokenType.UNUSED] * size
    for token, number in parts["model"]["vocab"].items():
        tokens[number], kinds[number] = token, TokenType.NORMAL
    for added in parts["added_tokens"]:
        tokens[added["id"]] = added["content"]
        kinds[added["id"]] = TokenType.CONTROL if added["special"] else TokenType.USER_DEFINED
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(split)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(
        [merge if isinstance(merge, str) else " ".join(merge) for merge in parts["model"]["merges"]]
    )
    writer.add_add_space_prefix(False)
    writer.add_add_bos_token(adds_bos(tokenizer))
    _add_special(writer, tokenizer)
    writer.add_chat_template(template_of(tokenizer))


def adds_bos(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Tell whether a tokenizer puts the token that begins a text before each by itself."""
    ids = tokenizer("a")["input_ids"]
    return tokenizer.bos_token_id is not None and ids[0] == tokenizer.bos_token_id


def _add_special(writer: GGUFWriter, tokenizer: PreTrainedTokenizerBase) -> None:
    """Write which tokens begin a text, end one, end a turn, pad, and stand for what is unknown."""
    eos = tokenizer.eos_token_id
    turn = next((number for number in stop_token_ids(tokenizer) if number != eos), None)
    for add, number in (
        (writer.add_bos_token_id, tokenizer.bos_token_id),
        (writer.add_eos_token_id, eos),
        (writer.add_eot_token_id, turn),
        (writer.add_pad_token_id, tokenizer.pad_token_id),
        (writer.add_unk_token_id, tokenizer.unk_token_id),
    ):
        if number is not None:
            add(number)


def _parts(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """Return what a tokenizer consists of, as the library tokenizers writes it.

    Raises:
        ModelError: It is none of that library's.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ModelError("The tokenizer of this model is not one of the library tokenizers.", REMEDY)
    return dict(json.loads(backend.to_str()))


def _step(step: dict[str, Any]) -> tuple[str, Any]:
    """Return what tells a step apart; None where it does more than the known ones."""
    kind = step.get("type", "")
    if kind == "Split":
        plain = step["behavior"] == "Isolated" and not step["invert"]
        return kind, step["pattern"].get("Regex") if plain else None
    if step.get("add_prefix_space"):
        return kind, None
    return kind, step.get(_TELLING.get(kind, ""))
