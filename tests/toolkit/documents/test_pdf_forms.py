"""PDF forms: what was filled in stands beside its label, and what is noise stays out."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.faults.hostile_files import pdf
from toolkit.documents.readers import read_bytes

Printed = Sequence[tuple[int, int, str]]
Filled = Sequence[tuple[int, int, int, int, str]]
_LOOKS = "/AP << /N << /Yes 5 0 R /Off 6 0 R >> >>"
ON, OFF = f"/FT /Btn /V /Yes /AS /Yes {_LOOKS}", f"/FT /Btn /V /Off /AS /Off {_LOOKS}"


def drawn(text: str) -> bytes:
    """Return an appearance that shows a text."""
    shows = f"BT /F 10 Tf 2 4 Td ({text}) Tj ET".encode()
    head = b"/Type /XObject /Subtype /Form /BBox [0 0 200 16] /Resources << /Font << /F 8 0 R >> >>"
    return b"<< %s /Length %d >>\nstream\n%s\nendstream" % (head, len(shows), shows)


def make_form(printed: Printed, fields: Filled, *, turned: bool = False, form: str = "") -> bytes:
    """Make a page with printed words at ``(x, y)``, and annotations at ``(x, y, width, height)`` with their body."""
    shows = "".join(
        f"BT /F 10 Tf {f'0 1 -1 0 {600 - y} {x} Tm' if turned else f'{x} {y} Td'} ({text}) Tj ET\n"
        for x, y, text in printed
    ).encode()
    names = " ".join(f"{20 + number} 0 R" for number in range(len(fields)))
    objects = {
        1: f"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [{names}] /DA (/F 10 Tf 0 g) {form} >> >>".encode(),
        2: b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        3: b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents 4 0 R /Annots [%s] %s "
        b"/Resources << /Font << /F 8 0 R >> >> >>" % (names.encode(), b"/Rotate 90" if turned else b""),
        4: b"<< /Length %d >>\nstream\n%s\nendstream" % (len(shows), shows),
        5: drawn("4"),
        6: drawn(""),
        7: drawn("drawn"),
        8: b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    }
    for number, (x, y, width, height, body) in enumerate(fields):
        box = (600 - y - height, x, 600 - y, x + width) if turned else (x, y, x + width, y + height)
        kind = "" if "/Subtype" in body else f"/Subtype /Widget /T (field{number})"
        flags = "" if "/F " in body else "/F 4"
        rect = " ".join(map(str, box))
        objects[20 + number] = f"<< /Type /Annot {kind} {flags} /Rect [{rect}] {body} >>".encode()
    return pdf(dict(sorted(objects.items())))


def text(value: str) -> str:
    return f"/FT /Tx /V ({value})"


def read(printed: Printed, fields: Filled, **options: object) -> str:
    extract = read_bytes(make_form(printed, fields, **options), "a.pdf")  # type: ignore[arg-type]
    return "\n\n".join(section.text for section in extract.sections)


LABELS = ("Name:", "Street:", "Town:", "Country:", "Phone:")
VALUES = ("Ada Lovelace", "1 Mill Road", "Gullhaven", "Norway", "555 12")


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("form", ["", "/NeedAppearances true"])
def test_values_stand_beside_their_labels(turned: bool, form: str) -> None:
    printed = [(50, 700 - 20 * row, label) for row, label in enumerate(LABELS)]
    fields = [(150, 697 - 20 * row, 200, 16, text(value)) for row, value in enumerate(VALUES)]
    expected = "\n".join(f"{label} {value}" for label, value in zip(LABELS, VALUES, strict=True))
    assert read(printed, fields, turned=turned, form=form) == expected


def test_two_labels_in_a_row_have_each_its_own_value() -> None:
    printed = [(50, 700, "First name:"), (300, 700, "Last name:")]
    fields = [(360, 697, 150, 16, text("Lovelace")), (110, 697, 150, 16, text("Ada"))]
    assert read(printed, fields) == "First name: Ada | Last name: Lovelace"


def test_values_over_printed_rules_part_them() -> None:
    printed = [(50, 700, "From: ________________ To: ________________")]
    fields = [(80, 697, 80, 16, text("Bergen")), (200, 697, 80, 16, text("Oslo"))]
    assert read(printed, fields) == "From: Bergen | To: Oslo"


def test_a_table_that_was_filled_in_has_columns() -> None:
    printed = [(50, 720, "Item"), (250, 720, "Count"), (450, 720, "Price")]
    rows = ((697, ("Tea", "2", "4.20")), (677, ("Milk", "1", "1.10")))
    fields = [(x, y, 100, 16, text(value)) for y, row in rows for x, value in zip((50, 250, 450), row, strict=True)]
    assert read(printed, fields) == "Item | Count | Price\nTea | 2 | 4.20\nMilk | 1 | 1.10"


def test_boxes_that_are_ticked_are_told_whatever_they_look_like() -> None:
    printed = [(50, 700, "Size:"), (120, 700, "Small"), (200, 700, "Large"), (70, 680, "I agree to the terms")]
    fields = [(105, 698, 12, 12, OFF), (185, 698, 12, 12, ON), (50, 678, 12, 12, ON)]
    assert read(printed, fields) == "Size: | Small | ✔ Large\n✔ I agree to the terms"


def test_choices_are_told_by_the_words_that_are_shown() -> None:
    fields = [
        (100, 697, 100, 16, "/FT /Ch /Ff 131072 /Opt [[(r) (Red)] [(b) (Blue)]] /V (b)"),
        (220, 697, 100, 16, "/FT /Ch /Ff 2097152 /Opt [(A) (B) (C)] /V [(A) (C)]"),
    ]
    assert read([(50, 700, "Choose:")], fields) == "Choose: Blue | A, C"


def test_a_field_of_many_lines_stands_under_its_label() -> None:
    printed = [(50, 700, "Remarks"), (50, 600, "Signed in Oslo.")]
    fields = [(50, 620, 400, 75, text(r"The lamp is broken.\nPlease mend it."))]
    assert read(printed, fields) == "Remarks\nThe lamp is broken.\nPlease mend it.\n\nSigned in Oslo."


def test_a_form_of_nothing_but_fields_has_text() -> None:
    assert read([], [(50, 700, 100, 20, text("Only this"))]) == "Only this"


@pytest.mark.parametrize(
    "body",
    [
        "/FT /Tx /V (noise) /F 2",  # hidden
        "/FT /Tx /V (noise) /Ff 8192",  # a password
        "/FT /Btn /Ff 65536 /AP << /N 7 0 R >>",  # a button to be pushed
        "/Subtype /FreeText /Contents (noise) /AP << /N 7 0 R >>",
        "/Subtype /Text /Contents (noise) /AP << /N 7 0 R >>",
        "/Subtype /Stamp /AP << /N 7 0 R >>",
        "/Subtype /Highlight /Contents (noise) /AP << /N 7 0 R >>",
    ],
)
def test_what_nobody_filled_in_stays_out(body: str) -> None:
    fields = [(150, 697, 200, 16, text("Ada")), (150, 660, 200, 16, body)]
    assert read([(50, 700, "Name:")], fields) == "Name: Ada"


def test_a_form_that_is_empty_reads_as_it_is_printed() -> None:
    printed = [(50, 700, "Name: __________ (in capitals)")]
    assert read(printed, [(90, 697, 100, 16, text("")), (90, 660, 12, 12, OFF)]) == "Name: __________ (in capitals)"
