"""The client's Python on the page about serving runs against a server of doubles."""

from __future__ import annotations

from tests.chains import BURNS
from tests.pages import ROOT, blocks
from tests.serving import make_bot, served
from toolkit.store import Knowledge

BASE = "http://127.0.0.1:8000"


def test_the_python_of_the_page_runs(house: Knowledge) -> None:
    bot, _ = make_bot(lambda messages: BURNS, house, name="mybot")
    (block,) = blocks(ROOT / "docs" / "serving.md", "py")
    assert BASE in block
    names: dict[str, object] = {}
    with served(bot) as running:
        exec(block.replace(BASE, running.url), names)  # noqa: S102 - the page is ours
    assert names["reply"].choices[0].message.content == BURNS  # type: ignore[attr-defined]
    assert len(names["vectors"].data) == 2  # type: ignore[attr-defined]
