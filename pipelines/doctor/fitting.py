"""Whether a tune fits this machine, and which bases and ways would."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.doctor.check import Check
from pipelines.doctor.replies import plain_rows
from toolkit.config import BotConfig, VoiceSettings
from toolkit.errors import HousevoiceError, ModelError
from toolkit.examples import Example
from toolkit.models.estimates import (
    CANDIDATES,
    IN_FLOAT32,
    WAYS,
    BaseShape,
    Way,
    Work,
    candidate_config,
    free_memory,
    memory_of,
    read_config,
    seconds_of,
    shape_of,
    speed_of,
)
from toolkit.prompts import LETTERS_PER_TOKEN

# Tokens of a sentence with its heading: for lengths before anything is retrieved.
_SENTENCE_TOKENS = 40
# Memory that is free now may be wanted by others, and the estimate is off by a tenth or so.
_SAFE_SHARE = 0.8
_OVERNIGHT_SECONDS = 12 * 3600
_SHOWN_CANDIDATES = 3


@dataclass(frozen=True)
class Machine:
    """What this machine has to offer on one device.

    Attributes:
        device: ``cpu``, ``cuda`` or ``mps``.
        dtype: The number format that is chosen for it.
        free: Free memory, in bytes.
        speed: Of large matrix products in that format, in operations a second.
        float32_speed: Of those in float32.
    """

    device: str
    dtype: str
    free: int
    speed: float
    float32_speed: float

    def seconds(self, shape: BaseShape, way: Way, work: Work) -> float:
        """Estimate how long a tune takes here, in seconds."""
        return seconds_of(shape, way, work, self.float32_speed if way in IN_FLOAT32 else self.speed)


def fitting_checks(config: BotConfig, train: Sequence[Example], path: str, *, tokenizer_here: bool) -> Iterator[Check]:
    """Estimate what the tune needs here, in each way, and name other bases that would fit.

    Args:
        config: The settings of the bot.
        train: Examples to train on.
        path: Folder or hub id of the base.
        tokenizer_here: Whether tokens can be counted; otherwise letters are.
    """
    assert config.voice is not None
    try:
        # What is known here need not be asked for.
        known = path in CANDIDATES and config.base.revision is None
        shape = shape_of(candidate_config(path) if known else read_config(path, config.base.revision))
        machines = list(_machines(config))
    except ModelError as error:
        # A base that cannot be looked at before it is fetched may be as good as any.
        there = Path(path).is_dir()
        yield Check("memory and time", not there, str(error), note=not there)
        return
    try:
        work = work_of(config, train, path if tokenizer_here else None)
    except HousevoiceError:
        return  # said of the tokenizer
    for number, machine in enumerate(machines):
        chosen = way_of(config.voice, machine) if number == 0 else None
        yield _fits(shape, work, machine, chosen)
    yield _others(shape, work, machines[0])


def work_of(config: BotConfig, train: Sequence[Example], path: str | None) -> Work:
    """Return what a tune would be trained on: the replies, with room for the passages that will be found.

    Args:
        config: The settings of the bot.
        train: Examples to train on.
        path: Folder or hub id of a tokenizer; None to go by the letters.
    """
    from toolkit.models import load_tokenizer
    from toolkit.prompts import encode_pair

    voice = config.voice
    assert voice is not None
    rows = plain_rows(config, train)
    if path is None:
        texts = [("".join(message["content"] for message in row.messages), row.example.reply) for row in rows]
        counts = [tuple(len(text) // LETTERS_PER_TOKEN + 1 for text in pair) for pair in texts]
        sizes = [(asked + said, said) for asked, said in counts]
    else:
        tokenizer = load_tokenizer(config.base.model, path, config.base.revision)
        encoded = [encode_pair(tokenizer, row.messages, row.example.reply) for row in rows]
        sizes = [(len(ids), sum(label != -100 for label in labels)) for ids, labels in encoded]
    notes = passage_tokens(config)
    whole = [min(size + notes, voice.max_length) for size, _ in sizes]
    return Work(
        tokens=sum(whole),
        supervised=sum(said for _, said in sizes),
        longest=max(whole, default=0),
        batch=voice.per_device_train_batch_size,
        epochs=voice.num_train_epochs,
        r=getattr(voice, "r", 16),
        checkpointing=voice.gradient_checkpointing,
    )


def passage_tokens(config: BotConfig) -> int:
    """Return about how many tokens of a row are passages: what the settings leave room for."""
    from toolkit.bot.assembly import make_planner
    from toolkit.language import Lexicon

    chain = config.chain
    if config.knowledge is None:
        return 0
    whole = make_planner(config, None, None, None, Lexicon()).base.reads_passages
    if chain.evidence == "passages" or (chain.evidence == "auto" and whole):
        return chain.evidence_tokens
    return chain.evidence_sentences * _SENTENCE_TOKENS


def way_of(voice: VoiceSettings, machine: Machine) -> Way:
    """Return what a method costs: that of QLoRA on weights in 4 bits, of full tuning, of PiSSA, or of LoRA."""
    from toolkit.config.voice_settings import REPLACE_WEIGHTS
    from toolkit.models import choose_quantization

    if voice.method in REPLACE_WEIGHTS:
        return "full"
    if voice.method == "pissa":
        return "pissa"
    return "qlora" if choose_quantization(machine.device, voice.quantization).value == "nf4" else "lora"


def _machines(config: BotConfig) -> Iterator[Machine]:
    """Yield the device that is chosen, and after it the processor.

    Raises:
        ModelError: A device is asked for that is not here.
    """
    from toolkit.models import choose_device, choose_dtype

    chosen = choose_device(config.base.device).value
    for device in dict.fromkeys((chosen, "cpu")):
        dtype = choose_dtype(device, config.base.dtype if device == chosen else "auto").value
        speed = speed_of(device, dtype)
        float32_speed = speed if dtype == "float32" else speed_of(device, "float32")
        yield Machine(device, dtype, free_memory(device), speed, float32_speed)


def _ways(machine: Machine) -> list[Way]:
    """Return the ways that there are on a device: bitsandbytes has no 4-bit kernels for Apple's."""
    return [way for way in WAYS if way != "qlora" or machine.device != "mps"]


def _fits(shape: BaseShape, work: Work, machine: Machine, chosen: Way | None) -> Check:
    """Say what each way of tuning a base needs on a device; ``chosen`` is that of the settings."""
    said, ok, note = [], True, False
    ways = _ways(machine)
    for way in [*ways, *([chosen] if chosen and chosen not in ways else [])]:
        need = memory_of(shape, way, work, device=machine.device, dtype=machine.dtype)
        mark = " (set)" if way == chosen else ""
        said.append(f"{way}{mark} {_gib(need.total)} and {_duration(machine.seconds(shape, way, work))}")
        if way == chosen:
            ok, note = need.weights < machine.free, need.total > _SAFE_SHARE * machine.free
    found = f"about {', '.join(said)}; {_gib(machine.free)} are free"
    if note:
        found += ". Take smaller batches or gradient_checkpointing, a shorter max_length, or a smaller base."
    return Check(f"memory and time, {machine.device}", ok, found, note)


def _others(shape: BaseShape, work: Work, machine: Machine) -> Check:
    """Name the largest bases that would fit and be done overnight, with the way that needs least."""
    fitting = []
    for name in CANDIDATES:
        other = shape_of(candidate_config(name))
        # On a processor that is LoRA: for QLoRA the base that answers waits beside the one in 4 bits.
        need, way = min(
            (memory_of(other, way, work, device=machine.device, dtype=machine.dtype).total, way)
            for way in _ways(machine)
            if way != "full"
        )
        seconds = machine.seconds(other, way, work)
        if other.parameters > shape.parameters and need < _SAFE_SHARE * machine.free and seconds < _OVERNIGHT_SECONDS:
            fitting.append(f"{name} ({way}, {_gib(need)}, {_duration(seconds)})")
    if not fitting:
        return Check("other bases", True, "none of the larger ones known here would fit and be done overnight")
    return Check("other bases", True, f"larger ones to try: {', '.join(fitting[-_SHOWN_CANDIDATES:])}")


def _gib(count: float) -> str:
    return f"{count / 2**30:.1f} GiB"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
