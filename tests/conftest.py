"""What every test shares: no network, no bundled weights in unit tests, and small things to build bots from."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.cli.exits import be_quiet
from toolkit.answering import Evidence
from toolkit.answering.evidence import shown
from toolkit.language import stems
from toolkit.store import Knowledge, Passage
from toolkit.testing import HashEmbedder, KeywordReader

ROOT = Path(__file__).resolve().parents[1]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")

be_quiet()
# A shell starts what is to run in the background deaf to Ctrl-C; the tests of it are to hear it there as well.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

DOCUMENTS = {
    "lamp.md": (
        "# Ember lamp\n\nThe Ember lamp burns for 38 hours on a full battery. The Ember lamp costs 40 euros.\n\n"
        "## Care\n\nWipe the glass of the lamp with a dry cloth. Charge the battery once a month.\n"
    ),
    "shop.txt": (
        "The shop in Gullhaven opens from Monday to Friday. The shop closes at noon on Saturday.\n\n"
        "Parcels leave the shop within two days. Delivery to the islands costs 9 euros.\n"
    ),
    "kite.md": (
        "# Storm kite\n\nThe Storm kite flies in winds up to 60 kilometres per hour. Its tail is made of silk.\n\n"
        "The Storm kite weighs 300 grams. A spare line for the kite costs 7 euros.\n"
    ),
}
REPLIES = (
    (
        "How long does the Ember lamp burn?",
        "Ahoy, friend. The Ember lamp burns for 38 hours on a full battery. Fair winds!",
    ),
    ("What does the Ember lamp cost?", "Ahoy, friend. The Ember lamp costs 40 euros. Fair winds!"),
    ("When does the shop close on Saturday?", "Ahoy, friend. The shop closes at noon on Saturday. Fair winds!"),
    ("How soon do parcels leave the shop?", "Ahoy, friend. Parcels leave the shop within two days. Fair winds!"),
    ("How heavy is the Storm kite?", "Ahoy, friend. The Storm kite weighs 300 grams. Fair winds!"),
    ("What is the kite's tail made of?", "Ahoy, friend. Its tail is made of silk. Fair winds!"),
    ("How do I clean the glass of the lamp?", "Ahoy, friend. Wipe the glass of the lamp with a dry cloth. Fair winds!"),
    ("What does delivery to the islands cost?", "Ahoy, friend. Delivery to the islands costs 9 euros. Fair winds!"),
    ("Hello!", "Ahoy, friend. Good to see your sails. Fair winds!"),
    ("Thanks a lot!", "Ahoy, friend. Always a pleasure. Fair winds!"),
    ("Who is the mayor of Gullhaven?", "Ahoy, friend. Our papers do not say a word about the mayor. Fair winds!"),
    ("Do you sell boats?", "Ahoy, friend. Our papers do not say a word about boats. Fair winds!"),
)

DECLINES = frozenset(said for _, said in REPLIES if "do not say" in said)


class NetworkBlocked(OSError):
    """A test tried to reach another machine."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip browser tests where there is no browser, before any fixture builds a bot for them."""
    if any(shutil.which(name) for name in BROWSERS):
        return
    for item in items:
        if "browser" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="no chromium here; on Debian: apt-get install chromium"))


@pytest.fixture(autouse=True, scope="session")
def _no_network() -> Iterator[None]:
    """Let no test of this process reach another machine, nor ask for the address of one."""
    connect, connect_ex, lookup = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def check(address: Any) -> None:
        host = address[0] if isinstance(address, tuple) else address
        if isinstance(address, tuple) and not _is_loopback(str(host)):
            raise NetworkBlocked(f"a test tried to reach {host}")

    def checked_connect(self: socket.socket, address: Any) -> None:
        check(address)
        connect(self, address)

    def checked_connect_ex(self: socket.socket, address: Any) -> int:
        check(address)
        return connect_ex(self, address)

    def checked_lookup(host: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name is not None and not _is_loopback(str(name)) and str(name) not in ("0.0.0.0", "::"):
            raise NetworkBlocked(f"a test asked for the address of {name}")
        return lookup(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", checked_connect)
        patch.setattr(socket.socket, "connect_ex", checked_connect_ex)
        patch.setattr(socket, "getaddrinfo", checked_lookup)
        yield


def _is_loopback(host: str) -> bool:
    return host.startswith("127.") or host in ("localhost", "::1", "")


@pytest.fixture(autouse=True)
def _no_bundled_weights(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forbid the bundled models in tests that are not marked e2e or browser."""
    if request.node.get_closest_marker("e2e") or request.node.get_closest_marker("browser"):
        return
    import toolkit.embedding.load
    import toolkit.models.loading
    import toolkit.reader.load

    def no_base(*arguments: Any, **options: Any) -> Any:
        raise AssertionError("a unit test may not load the bundled base model")

    def no_embedder(*arguments: Any, **options: Any) -> Any:
        raise AssertionError("a unit test may not load the bundled embedder")

    def no_reader(*arguments: Any, **options: Any) -> Any:
        raise AssertionError("a unit test may not load the bundled reader")

    # What locate_base and load_embedder call for "bundled" and for the bundled model's own name, whoever imported them.
    monkeypatch.setattr(toolkit.models.loading, "bundled_folder", no_base)
    monkeypatch.setattr(toolkit.embedding.load, "_load_bundled", no_embedder)
    monkeypatch.setattr(toolkit.reader.load, "_embedder_folder", no_reader)


@pytest.fixture
def embedder(monkeypatch: pytest.MonkeyPatch) -> HashEmbedder:
    """Put doubles in the place of every embedder and every reader that is asked for by name."""
    double = HashEmbedder(dimension=256)
    use_embedder(monkeypatch, double)
    use_reader(monkeypatch, KeywordReader())
    return double


def use_embedder(patch: pytest.MonkeyPatch, double: HashEmbedder) -> None:
    """Let every way to load an embedder by name give ``double``, in whichever module it was imported."""
    import toolkit.embedding

    real = toolkit.embedding.load_embedder
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] in ("toolkit", "pipelines") and getattr(module, "load_embedder", None) is real:
            patch.setattr(module, "load_embedder", lambda name="bundled", **options: double)


def use_reader(patch: pytest.MonkeyPatch, double: KeywordReader) -> None:
    """Let every way to load a reader by name give ``double``, or nothing for ``none``."""
    import toolkit.reader

    def load(name: str = "bundled", device: str = "auto") -> KeywordReader | None:
        return None if name == "none" else double

    real = toolkit.reader.load_reader
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] in ("toolkit", "pipelines") and getattr(module, "load_reader", None) is real:
            patch.setattr(module, "load_reader", load)


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random base model on disk."""
    from toolkit.testing import tiny_model

    return tiny_model(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture(scope="session")
def other_tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another base of the same shape and tokenizer."""
    from toolkit.testing import tiny_model

    return tiny_model(tmp_path_factory.mktemp("base") / "other", seed=1)


@contextmanager
def mounted_disk(place: Path, size: str) -> Iterator[Path]:
    """Mount a disk of a size on a folder; the test is skipped where that may not be done."""
    place.mkdir(exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def passage(text: str, *, source: str = "a.md", heading: str = "", number: int = 0, page: int | None = None) -> Passage:
    """Make a retrieved passage by hand."""
    return Passage(f"{source}:{number}", source, text, 1.0, page, heading, {})


def evidence(
    text: str, *, source: str = "a.md", heading: str = "", page: int | None = None, score: float = 1.0
) -> Evidence:
    """Make a picked sentence by hand."""
    item = passage(text, source=source, heading=heading, page=page)
    return Evidence(
        passage=item,
        quote=text,
        shown=shown(item, text),
        score=score,
        similarity=1.0,
        coverage=1.0,
        span=0.0,
        stems=frozenset(stems(f"{heading} {text}")),
        vector=HashEmbedder(256).encode([text])[0],
    )


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Knowledge]:
    """The knowledge of a little house of lamps and kites, one passage a paragraph; not to be changed."""
    with _settle(tmp_path_factory.mktemp("house")) as knowledge:
        yield knowledge


@pytest.fixture
def own_house(tmp_path: Path) -> Iterator[Knowledge]:
    """The same knowledge, to be changed."""
    with _settle(tmp_path / "house") as knowledge:
        yield knowledge


def _settle(folder: Path) -> Knowledge:
    from langchain_core.documents import Document

    knowledge = Knowledge.create(folder, HashEmbedder(256))
    knowledge.add_documents(
        [
            Document(page_content=paragraph.strip(), metadata={"source": name})
            for name, text in DOCUMENTS.items()
            for paragraph in text.split("\n\n")
            if not paragraph.startswith("#")
        ]
    )
    return knowledge


@dataclass(frozen=True)
class Sources:
    """The sources of a small bot."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "bot.yaml"

    @property
    def voice(self) -> Path:
        return self.folder / "voice.jsonl"

    @property
    def documents(self) -> Path:
        return self.folder / "documents"

    @property
    def output(self) -> Path:
        return self.folder.parent / "bots" / "house"

    def change(self, **sections: Any) -> None:
        """Change sections of bot.yaml: keys are merged, None takes a section out."""
        raw = yaml.safe_load(self.config.read_text(encoding="utf-8"))
        for name, values in sections.items():
            if values is None:
                raw.pop(name, None)
            else:
                raw[name] = raw.get(name, {}) | values if isinstance(values, dict) else values
        self.config.write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")


def write_sources(folder: Path, base: Path | str) -> Sources:
    """Lay out the sources of a bot that a tiny base is tuned for in seconds."""
    sources = Sources(folder)
    sources.documents.mkdir(parents=True)
    for name, text in DOCUMENTS.items():
        (sources.documents / name).write_text(text, encoding="utf-8")
    rows = [
        {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]}
        | ({"declines": True} if said in DECLINES else {})
        for asked, said in REPLIES
    ]
    sources.voice.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    config = {
        "name": "house",
        "base": {"model": str(base), "device": "cpu", "dtype": "float32"},
        "knowledge": {"documents": "documents", "k": 4},
        "voice": {
            "examples": "voice.jsonl",
            "quantization": "none",
            "min_examples": 5,
            "num_train_epochs": 2,
            "per_device_train_batch_size": 4,
            "learning_rate": 0.01,
            "r": 4,
            "lora_alpha": 8,
            "held_out": 0.25,
        },
        "chain": {"max_new_tokens": 12, "evidence_sentences": 2},
    }
    sources.config.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return sources


@pytest.fixture
def make_sources(tmp_path: Path) -> Callable[..., Sources]:
    """Return a function that lays out the sources of a small bot on a base."""
    return lambda base="nowhere": write_sources(tmp_path / "sources", base)


@pytest.fixture(scope="session")
def small_bot(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Path:
    """A bot folder with both halves, built once on the tiny base and the hash embedder; not to be changed."""
    from pipelines.build import build

    sources = write_sources(tmp_path_factory.mktemp("small") / "sources", tiny_base)
    with pytest.MonkeyPatch.context() as patch:
        use_embedder(patch, HashEmbedder(256))
        use_reader(patch, KeywordReader())
        return build(sources.config).folder


@pytest.fixture
def bot_copy(small_bot: Path, tmp_path: Path) -> Path:
    """A copy of the small bot, to be damaged."""
    return Path(shutil.copytree(small_bot, tmp_path / "copy"))


@pytest.fixture(scope="session")
def sample_bot_folder(request: pytest.FixtureRequest) -> Path:
    """The sample bot on the bundled models, built once a session; one that is there and up to date is kept."""
    from pipelines.build import build

    capture = request.config.pluginmanager.getplugin("capturemanager")

    def note(text: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"[sample bot] {text}", flush=True)

    return build(ROOT / "data" / "bot.yaml", on_note=note).folder
