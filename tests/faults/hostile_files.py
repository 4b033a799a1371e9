"""Makes files that are meant to do harm, and reads each of them as an ingest would.

``python -m tests.faults.hostile_files`` is the long form: it makes the files in a temporary folder and prints
one line a file (what came of it, seconds, peak memory of the process that read it), at the default limits
and with 10,000 tiny files among them; then it reads all of them in one run. The pytest form beside it takes
the same way with a shorter limit and a smaller crowd.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import tempfile
import threading
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from toolkit.documents import ParseLimits, find_files, parse_files
from toolkit.documents.worker import Worker

SECRET = "the secret is kept elsewhere"
GOOD_TEXT = "The warehouse opens at seven in the morning."
_ASK_SECONDS = 0.01
_LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
_ENTITIES = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY l0 "ha">{_LAUGHS}]>'
_WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
_OFFICE_RELATION = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"
_CONTENT_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"


def fill(folder: Path, secret: Path, tiny: int) -> None:
    """Write every hostile file, good neighbours between them, and ``tiny`` one-line files.

    Args:
        folder: Where to.
        secret: A file outside of it, which links and XML entities try to draw in.
        tiny: How many small files.
    """
    for place in ("a", "m", "z"):
        (folder / f"{place}-good.md").write_text(f"# Hours\n\n{GOOD_TEXT}\n")
    _write_pdfs(folder)
    _write_archives(folder)
    _write_entities(folder, secret)
    _write_texts(folder)
    _write_nested(folder)
    _write_names(folder, secret)
    crowd = folder / "crowd"
    crowd.mkdir()
    for number in range(tiny):
        (crowd / f"{number:05}.txt").write_text(f"Note {number}: {GOOD_TEXT}")


def bomb(size: int) -> bytes:
    """Return a zlib stream that unpacks to ``size`` blanks, made without compressing them all."""
    packer = zlib.compressobj(9)
    first = packer.compress(b" " * (1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(b" " * (1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + again * ((size >> 20) - 2) + packer.compress(b" " * (1 << 20)) + packer.flush()


def pdf(objects: dict[int, bytes]) -> bytes:
    """Assemble a PDF from numbered objects; number 1 is its root."""
    out = io.BytesIO()
    out.write(b"%PDF-1.7\n")
    places = {}
    for number, body in objects.items():
        places[number] = out.tell()
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
    table = out.tell()
    out.write(b"xref\n0 1\n0000000000 65535 f \n")
    for number, place in places.items():
        out.write(b"%d 1\n%010d 00000 n \n" % (number, place))
    out.write(b"trailer << /Root 1 0 R /Size %d >>\nstartxref\n%d\n%%%%EOF" % (max(objects) + 1, table))
    return out.getvalue()


def _write_pdfs(folder: Path) -> None:
    stream = zlib.compress(bomb(4 << 30), 9)
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R >>"
    root = b"<< /Type /Catalog /Pages 2 0 R >>"
    flate = b"<< /Length %d /Filter [/FlateDecode /FlateDecode] >>\nstream\n%s\nendstream" % (
        len(stream),
        stream,
    )
    one = b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>"
    (folder / "flate-bomb.pdf").write_bytes(pdf({1: root, 2: one, 3: page, 4: flate}))
    circle = b"<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 1000000 /Parent 2 0 R >>"
    (folder / "cyclic.pdf").write_bytes(pdf({1: root, 2: circle}))
    again = b"/Resources << /XObject << /F 4 0 R >> >>"
    form = b"<< /Type /XObject /Subtype /Form /BBox [0 0 9 9] %s /Length 5 >>" % again
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R %s >>" % again
    form += b"\nstream\n/F Do\nendstream"
    (folder / "cyclic-form.pdf").write_bytes(pdf({1: root, 2: one, 3: page, 4: form}))
    (folder / "cut-off.pdf").write_bytes(b"%PDF-1.7\n" + random.Random(1).randbytes(2000))


def _docx(document: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(
            "[Content_Types].xml",
            '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
            '<Default Extension="rels" '
            'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Override PartName="/word/document.xml" ContentType="{_CONTENT_TYPE}"/></Types>',
        )
        archive.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{_RELATIONS}"><Relationship Id="r1" Type="{_OFFICE_RELATION}" '
            'Target="word/document.xml"/></Relationships>',
        )
        archive.writestr("word/document.xml", document)
    return out.getvalue()


def _write_archives(folder: Path) -> None:
    with zipfile.ZipFile(folder / "bomb.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("huge.txt", b"a" * (400 << 20))
        archive.writestr("large.txt", b"word " * (30 << 20))
        archive.writestr("../../climber.md", f"# Climber\n\n{GOOD_TEXT}")
        archive.writestr("/etc/rooted.md", f"# Rooted\n\n{GOOD_TEXT}")
    inner = (folder / "bomb.zip").read_bytes()
    with zipfile.ZipFile(folder / "nested.zip", "w") as archive:
        archive.writestr("bomb.zip", inner)
        archive.writestr("good.md", f"# Good\n\n{GOOD_TEXT}")
    (folder / "cut-off.zip").write_bytes(inner[: len(inner) // 2])
    body = (
        f'<w:document xmlns:w="{_WORD}"><w:body>'.encode()
        + b"<w:p/>" * (80 << 20)
        + b"</w:body></w:document>"
    )
    (folder / "bomb.docx").write_bytes(_docx(body))
    part = (
        f'<w:document xmlns:w="{_WORD}"><w:body>'.encode() + b"<w:p/>" * (8 << 20) + b"</w:body></w:document>"
    )
    (folder / "many-paragraphs.docx").write_bytes(_docx(part))


def _write_entities(folder: Path, secret: Path) -> None:
    (folder / "laughs.xml").write_text(f"{_ENTITIES}<x>&l11;</x>")
    leak = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY s SYSTEM "{secret.as_uri()}">]><x><y>&s;</y></x>'
    (folder / "leak.xml").write_text(leak)
    (folder / "laughs.html").write_text(f"{_ENTITIES}<html><body><p>&l11;</p></body></html>")
    run = "<w:p><w:r><w:t>&l11;</w:t></w:r></w:p>"
    body = f'{_ENTITIES}<w:document xmlns:w="{_WORD}"><w:body>{run}</w:body></w:document>'
    (folder / "laughs.docx").write_bytes(_docx(body.encode()))
    drawn = f".. include:: {secret}\n\n.. raw:: html\n   :file: {secret}\n"
    (folder / "include.rst").write_text(f"Title\n=====\n\n{drawn}")


def _write_texts(folder: Path) -> None:
    (folder / "line.txt").write_bytes(b"word " * (20 << 20))
    (folder / "emphasis.md").write_bytes(b"*a " * (20 << 20))
    (folder / "line.json").write_bytes(b'["' + b"x" * (100 << 20) + b'"]')
    (folder / "invalid.txt").write_bytes(b"Caf\xe9 opens \xff\xfe at seven. " + GOOD_TEXT.encode())
    (folder / "wide.txt").write_text(GOOD_TEXT, encoding="utf-16")
    (folder / "wide-bare.txt").write_bytes(GOOD_TEXT.encode("utf-16-be"))
    (folder / "nul.txt").write_bytes(b"Zero \x00 bytes.\n" + GOOD_TEXT.encode() + b"\x00" * 4)
    (folder / "zeros.txt").write_bytes(b"\x00" * 100_000)
    (folder / "noise.md").write_bytes(random.Random(2).randbytes(100_000))


def _write_nested(folder: Path) -> None:
    (folder / "deep.json").write_text("[" * 200_000)
    (folder / "deep.html").write_text("<div><ul><li>" * 100_000 + GOOD_TEXT)
    (folder / "nested.html").write_text("<div><ul><li>" * 500 + GOOD_TEXT)
    (folder / "deep.md").write_text(">" * 50_000 + " deep\n\n" + "[" * 50_000 + "\n\n" + "`a" * 50_000)
    (folder / "deep.rst").write_text("\n".join(" " * (2 * n) + "* deep\n" for n in range(600)))
    part = "Content-Type: multipart/mixed; boundary=b{0}e\n\n--b{0}e\n"
    whole = "".join(part.format(number) for number in range(3000))
    (folder / "deep.eml").write_text(f"From: a@b.c\nTo: d@e.f\nSubject: x\n{whole}")
    (folder / "deep.rtf").write_text("{\\rtf1 " + "{" * 500_000)
    (folder / "wide.csv").write_text(",".join("a" * 100_000) + "\n" + '"' * 100_001)


def _write_names(folder: Path, secret: Path) -> None:
    (folder / "two\nlines.md").write_text(f"# Lines\n\n{GOOD_TEXT}")
    (folder / "..dots..md").write_text(f"# Dots\n\n{GOOD_TEXT}")
    Path(os.fsdecode(os.fsencode(folder) + b"/bytes-\xff.md")).write_text(f"# Bytes\n\n{GOOD_TEXT}")
    os.mkfifo(folder / "pipe.txt")
    (folder / "loop").symlink_to(folder)
    (folder / "circle.md").symlink_to(folder / "circle.md")
    (folder / "escape.txt").symlink_to(secret)
    (folder / "inside.md").symlink_to(folder / "a-good.md")


@dataclass
class Outcome:
    """What came of one file.

    Args:
        source: Its name, or that of the folder where a crowd is read together.
        files: How many files.
        read: How many of them were read.
        seconds: From asking to the answer, the start of the process included.
        peak_bytes: Largest resident size of the process that read it; 0 where none did.
        error: The reason why it is not in, or None.
        warnings: Parts of it that are not in.
        text: The beginning of its text.
    """

    source: str
    files: int
    read: int
    seconds: float
    peak_bytes: int
    error: str | None
    warnings: list[str]
    text: str

    def line(self) -> str:
        """Say it in one line."""
        peak = f"{self.peak_bytes / (1 << 20):5.0f} MiB" if self.peak_bytes else "   no child"
        short = [f"{warning[:60]}…" if len(warning) > 60 else warning for warning in self.warnings[:2]]
        left_out = f"; left out: {'; '.join(short)}" if short else ""
        count = f"{self.read} of {self.files} " if self.files > 1 else ""
        what = f"refused: {self.error[:110]}" if self.error else f"{count}read{left_out}"
        return f"{self.source:24.24} {self.seconds:6.2f} s {peak}  {what}"


@contextmanager
def _peaks() -> Iterator[list[int]]:
    """Collect the largest resident sizes of the readers, in bytes, as the system keeps them.

    They are asked before a reader is stopped, and all the time in between: one that dies is asked no more.
    """
    found: list[int] = []
    start, stop = Worker._start, Worker.stop

    def started(worker: Worker) -> Any:
        process = start(worker)
        threading.Thread(target=watch, args=(process.pid,), daemon=True).start()
        return process

    def watch(pid: int) -> None:
        while peak := _peak_bytes(pid):
            found.append(peak)
            time.sleep(_ASK_SECONDS)

    def stopped(worker: Worker) -> None:
        if worker.pid is not None:
            found.append(_peak_bytes(worker.pid))
        stop(worker)

    Worker._start, Worker.stop = started, stopped  # type: ignore[method-assign]
    try:
        yield found
    finally:
        Worker._start, Worker.stop = start, stop  # type: ignore[method-assign]


def _peak_bytes(pid: int) -> int:
    """Return the largest resident size that a process had so far, 0 where it is gone."""
    with contextlib.suppress(OSError):
        for row in Path(f"/proc/{pid}/status").read_text().splitlines():
            if row.startswith("VmHWM:"):
                return int(row.split()[1]) << 10
    return 0


def examine(folder: Path, limits: ParseLimits) -> Iterator[Outcome]:
    """Read each file of a folder in a process of its own, and the crowd in it together.

    Args:
        folder: What :func:`fill` filled.
        limits: What one file may cost.
    """
    found = find_files([folder])
    crowd = [file for file in found if file.source.startswith("crowd/")]
    for files in [*([file] for file in found if file not in crowd), crowd]:
        begin = time.monotonic()
        with _peaks() as peaks:
            parsed = list(parse_files(files, limits=limits, workers=1 if len(files) == 1 else None))
        errors = [one.error for one in parsed if one.error]
        yield Outcome(
            source=files[0].source if len(files) == 1 else "crowd/",
            files=len(files),
            read=sum(1 for one in parsed if one.documents),
            seconds=round(time.monotonic() - begin, 2),
            peak_bytes=max(peaks, default=0),
            error=errors[0] if errors else None,
            warnings=[warning for one in parsed for warning in one.warnings],
            text=" ".join(document.page_content for document in parsed[-1].documents)[:2000],
        )


def main() -> None:
    """Make the files, read them, and print a line a file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=ParseLimits().seconds, help="time limit of a file")
    parser.add_argument("--tiny", type=int, default=10_000, help="how many tiny files")
    parser.add_argument("--json", type=Path, help="also write the outcomes to this file")
    arguments = parser.parse_args()
    limits = ParseLimits(seconds=arguments.seconds)
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="hostile-") as place:
        secret = Path(place, "secret.txt")
        secret.write_text(SECRET)
        folder = Path(place, "files")
        folder.mkdir()
        fill(folder, secret, arguments.tiny)
        for outcome in examine(folder, limits):
            print(outcome.line(), flush=True)
            outcomes.append(outcome)
        together = {one.source: one.error for one in parse_files(find_files([folder]), limits=limits)}
    for outcome in outcomes:
        together.setdefault(outcome.source, outcome.error)  # the crowd's
    changed = [outcome.source for outcome in outcomes if bool(outcome.error) != bool(together[outcome.source])]
    refused = sum(1 for error in together.values() if error)
    print(f"in one run: {len(together) - 1} files, {refused} refused; otherwise than alone: {changed or 'none'}")
    if arguments.json:
        report = {"outcomes": [asdict(outcome) for outcome in outcomes], "changed": changed}
        arguments.json.write_text(json.dumps(report))


if __name__ == "__main__":
    main()
