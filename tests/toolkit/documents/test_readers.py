"""Readers of text formats: structure kept, markup reduced, types and encodings told right."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

import pytest

from toolkit.documents.model import Extract, Unreadable
from toolkit.documents.readers import read_bytes
from toolkit.documents.sniff import decode, sniff


def read(text: str | bytes, name: str) -> Extract:
    return read_bytes(text.encode() if isinstance(text, str) else text, name)


def parts(extract: Extract) -> Iterator[tuple[str, str]]:
    return ((" > ".join(section.heading), section.text) for section in extract.sections)


def test_markdown_keeps_headings_lists_code_and_tables() -> None:
    text = """---
title: "The Guide"
---
# Start

Run it *now*,
see [the site](https://example.org/x) or `go --fast`.

1. One
2. Two
   - inner

## Code <!-- note -->

```python
def f():

    return 1
```

| Item | Price |
|---|---|
| Apple | 2 |
| Pear | 3 |

### Empty
"""
    extract = read(text, "guide.md")
    assert extract.title == "The Guide"
    assert list(parts(extract)) == [
        (
            "Start",
            "Run it now, see the site (https://example.org/x) or go --fast.\n\n1. One\n2. Two\n  - inner",
        ),
        (
            "Start > Code",
            "```python\ndef f():\n\n    return 1\n```\n\nItem: Apple; Price: 2\nItem: Pear; Price: 3",
        ),
        ("Start > Code", "Empty"),
    ]


def test_the_title_is_the_first_heading_and_starts_are_offsets_in_the_whole_text() -> None:
    extract = read("# Title\n\nFirst.\n\n## Second\n\nMore.\n", "a.md")
    whole = "Title\n\nFirst.\n\nSecond\n\nMore."
    assert (extract.title, extract.length) == ("Title", len(whole))
    for section in extract.sections:
        assert whole[section.start : section.start + len(section.text)] == section.text


RST = """
.. _ref:

Manual
======

See :ref:`the guide <guide>`, :doc:`/users/faq` and :opt:`~folder.id`; ``code`` and **bold**, or
`the site <https://example.org>`__.

.. toctree::

   other

.. note:: Mind the gap.

.. versionadded:: 2.0

   The switch.

.. unknown:: Heading
   :option: x

   Its content.

.. code-block:: bash
   :caption: x

   make all

   make test

Options
-------

.. option:: --fast, -f
   :aliases: quick

   Goes fast.

Term
   Its meaning.

After the |missing| options.

- one
- two

  * inner

.. list-table::
   :header-rows: 1

   * - Name
     - Size
   * - A
     - 1

.. include:: /etc/hostname
"""


def test_restructured_text_keeps_structure_and_reduces_what_sphinx_adds() -> None:
    found = dict(parts(read(RST, "manual.rst")))
    body = found["Manual"]
    assert "See the guide, /users/faq and id; code and bold, or the site (https://example.org)." in body
    assert "Note: Mind the gap." in body
    assert "New in version 2.0:\n\nThe switch." in body
    assert "Its content." in body and "option: x" not in body and "toctree" not in body
    assert "```\nmake all\n\nmake test\n```" in body
    assert found["Manual > Options > --fast, -f"] == "Goes fast."
    after = found["Manual > Options"]
    assert after.startswith("Term: Its meaning.\n\nAfter the |missing| options.\n\n- one\n- two\n  - inner")
    assert after.endswith("Name: A; Size: 1")


def test_restructured_text_reads_no_other_file(tmp_path: object) -> None:
    text = f"Title\n=====\n\nBody.\n\n.. include:: {__file__}\n\n.. literalinclude:: {__file__}\n"
    assert [part for _, part in parts(read(text, "a.rst"))] == ["Body."]


def test_html_keeps_structure_and_leaves_scripts_and_menus_out() -> None:
    page = """<!doctype html><html><head><title>Shop</title><style>p{}</style></head><body>
    <nav><a href="/">Home</a></nav><script>alert(1)</script>
    <h1>Prices</h1><p>All <b>prices</b> in<br>euro. <a href="mailto:a@b.c">Write us</a></p>
    <ul><li>One<ul><li>Inner</li></ul></li><li>Two</li></ul>
    <table><tr><th>Item</th><th>Price</th></tr><tr><td>Tea</td><td>4</td></tr></table>
    <pre>x = 1
  y</pre><dl><dt>Term</dt><dd>Meaning</dd></dl></body></html>"""
    extract = read(page, "page.html")
    assert extract.title == "Shop"
    assert list(parts(extract)) == [
        (
            "Prices",
            "All prices in\neuro. Write us (a@b.c)\n\n- One\n  - Inner\n- Two\n\nItem: Tea; Price: 4\n\n"
            "```\nx = 1\n  y\n```\n\nTerm: Meaning",
        )
    ]


def test_html_that_names_its_main_part_is_read_there_only() -> None:
    main = "The whole text of the page stands here. " * 8
    page = f"<html><body><header>Menu</header><main><h1>A</h1><p>{main}</p></main></body></html>"
    assert "Menu" not in " ".join(text for _, text in parts(read(page, "a.html")))


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separated_values_become_rows_that_name_their_columns(separator: str) -> None:
    text = f"Name{separator}Size\nBolt{separator}5\nNut{separator}6\n"
    assert list(parts(read(text, "a.csv"))) == [("", "Name: Bolt; Size: 5\nName: Nut; Size: 6")]


def test_a_table_without_header_and_one_with_a_title_row() -> None:
    assert list(parts(read("1,2\n3,4\n", "a.csv"))) == [("", "1 | 2\n3 | 4")]
    titled = "Cups,,\nTeam,City,Wins\nBlues,STL,1\n"
    assert list(parts(read(titled, "a.csv"))) == [("", "Cups\nTeam: Blues; City: STL; Wins: 1")]


def test_plain_text_keeps_paragraphs_and_knows_headings() -> None:
    text = "RETURNS\n\nSend it back\nwithin 30 days.\n\n2. Shipping\n\nWe ship daily.\n"
    assert list(parts(read(text, "a.txt"))) == [
        ("RETURNS", "Send it back\nwithin 30 days."),
        ("2. Shipping", "We ship daily."),
    ]


def test_json_and_json_lines_become_records() -> None:
    value = {"name": "Shop", "hours": {"open": {"at": [7]}}, "items": [{"id": 1, "on": True}, {"id": 2}]}
    assert list(parts(read(json.dumps(value), "a.json"))) == [
        ("", "name: Shop"),
        ("hours > open", "at: 7"),
        ("items", "id: 1; on: yes"),
        ("items", "id: 2"),
    ]
    lines = read('{"q": "A?", "a": "B."}\nbroken\n{"q": "C?"}\n', "a.jsonl")
    assert list(parts(lines)) == [("", "q: A?; a: B."), ("", "q: C?")]
    assert lines.warnings and lines.warnings[0].startswith("line 2")


def test_a_notebook_keeps_text_code_and_output() -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "Words."]},
        {"cell_type": "code", "source": "print(1)", "outputs": [{"text": ["1\n"]}]},
    ]
    book = {"cells": cells, "metadata": {}, "nbformat": 4}
    assert list(parts(read(json.dumps(book), "a.ipynb"))) == [
        ("Title", "Words.\n\n```python\nprint(1)\n```\n\n```\n1\n```")
    ]


def test_xml_of_any_kind_becomes_fields() -> None:
    items = '<item id="1"><name>A</name></item><item id="2"><name>B</name></item>'
    text = f'<?xml version="1.0"?><list>{items}</list>'
    assert [text for _, text in parts(read(text, "a.xml"))] == ["id: 1; name: A", "id: 2; name: B"]


def test_a_message_keeps_its_fields_text_and_attachments() -> None:
    text = (
        "From: Ann <ann@example.org>\nTo: bob@example.org\nSubject: =?utf-8?q?Caf=C3=A9?=\n"
        "MIME-Version: 1.0\n"
        "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain; charset=latin-1\n\n"
        "Hello Bob,\n\nsee below.\n--b\nContent-Type: text/csv\n"
        "Content-Disposition: attachment; filename=prices.csv\n\nItem,Price\nTea,4\n--b\n"
        "Content-Type: image/png\nContent-Disposition: attachment; filename=x.png\n"
        "Content-Transfer-Encoding: base64\n\niVBORw0KGgo=\n--b--\n"
    )
    extract = read(text, "a.eml")
    assert extract.title == "Café"
    assert list(parts(extract)) == [
        (
            "Café",
            "From: Ann <ann@example.org>\nTo: bob@example.org\nSubject: Café\n\nHello Bob,\n\nsee below.",
        ),
        ("Café > prices.csv", "Item: Tea; Price: 4"),
    ]
    assert len(extract.warnings) == 1 and extract.warnings[0].startswith("attachment x.png")


def test_rich_text_gives_paragraphs_and_tables() -> None:
    text = (
        r"{\rtf1\ansi First \'e9t\'e9.\par Second.\par"
        r"\trowd\cellx1\cellx2 Item\cell Price\cell\row\trowd\cellx1\cellx2 Tea\cell 4\cell\row }"
    )
    assert list(parts(read(text, "a.rtf"))) == [("", "First été.\n\nSecond.\n\nItem: Tea; Price: 4")]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"]
)
def test_text_is_right_in_every_encoding(encoding: str) -> None:
    text = "Die Straße ist für Fußgänger gesperrt, und zwar täglich."
    assert [part for _, part in parts(read(text.encode(encoding), "a.txt"))] == [text]


def test_japanese_and_a_declared_encoding_are_read() -> None:
    text = "<meta charset='shift_jis'><p>名前は佐藤太郎です。</p>"
    assert "佐藤太郎" in next(parts(read(text.encode("shift_jis"), "a.html")))[1]
    assert decode("名前,年齢\n佐藤太郎,30\n三木英子,25\n髙橋淳,35\n".encode("cp932"))[0].startswith("名前")


def test_a_few_bad_bytes_in_utf8_are_replaced_and_told() -> None:
    extract = read(("Grüße aus Köln. " * 200).encode() + b"\xff", "a.txt")
    assert extract.warnings == ["bytes that are not UTF-8 were replaced"]
    assert extract.sections[0].text.startswith("Grüße")


@pytest.mark.parametrize(
    ("data", "name", "kind"),
    [
        (b"%PDF-1.4 ...", "a.txt", "pdf"),
        (b"{\\rtf1 x}", "a.doc", "rtf"),
        (b"<!DOCTYPE html><html></html>", "page", "html"),
        (b"From: a@b.c\nTo: d@e.f\nSubject: x\n\nHello", "mail.txt", "eml"),
        (b"From: a@b.c\nTo: d@e.f\nSubject: x\n\nHello", "mail", "eml"),
        (b"words", "a.unknown", "txt"),
        (b"a,b\n1,2", "a.tsv", "csv"),
    ],
)
def test_the_type_comes_from_the_content_first(data: bytes, name: str, kind: str) -> None:
    assert sniff(data, name) == kind


def test_noise_is_no_text_whatever_its_name() -> None:
    for seed in range(40):
        with pytest.raises(Unreadable, match="binary"):
            sniff(random.Random(seed).randbytes(3000), "notes.md")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b" \n\t", "empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "image"),
        (bytes(range(256)) * 20, "binary"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "WordDocument".encode("utf-16-le"), "legacy Word"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"), "password"),
        (b"PK\x03\x04broken", "damaged"),
        (b"\x1f\x8b\x08rest", "gzip"),
    ],
)
def test_what_has_no_text_is_refused_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        sniff(data, "a.bin")
