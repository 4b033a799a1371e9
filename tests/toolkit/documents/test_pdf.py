"""PDF: pages, headings, columns, tables and code from nothing but the places of glyphs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.hostile_files import pdf
from toolkit.documents.model import Extract, Unreadable
from toolkit.documents.readers import read_bytes


def parts(extract: Extract) -> Iterator[tuple[str, str]]:
    return ((" > ".join(section.heading), section.text) for section in extract.sections)


def make_pdf(*pages: list[tuple[int, int, int, str]], extra: str = "", turned: bool = False) -> bytes:
    """Make a PDF; each page is a list of ``(size, x, y, text)``, with ``$`` before it in Courier, ``*`` in bold."""
    objects = {1: b"<< /Type /Catalog /Pages 2 0 R %s >>" % extra.encode()}
    kids = []
    for index, page in enumerate(pages):
        number = 10 + 2 * index
        kids.append(f"{number} 0 R")
        objects[number] = (
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents %d 0 R %s /Resources << /Font << "
            b"/C << /Type /Font /Subtype /Type1 /BaseFont /Courier >> "
            b"/B << /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold >> "
            b"/F << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>"
            % (number + 1, b"/Rotate 90" if turned else b"")
        )
        shows = "".join(
            f"BT /{ {'$': 'C', '*': 'B'}.get(text[0], 'F') } {size} Tf "
            f"{f'0 1 -1 0 {600 - y} {x} Tm' if turned else f'{x} {y} Td'} ({text.lstrip('$*')}) Tj ET\n"
            for size, x, y, text in page
        ).encode()
        objects[number + 1] = b"<< /Length %d >>\nstream\n%s\nendstream" % (len(shows), shows)
    objects[2] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(kids)} >>".encode()
    return pdf(dict(sorted(objects.items())))


def test_a_pdf_gives_pages_headings_paragraphs_and_rows() -> None:
    long = "This line of the paragraph is long and reaches to the right edge of"
    first = [
        (20, 50, 750, "Annual Report"),
        (10, 50, 700, long),
        (10, 50, 688, "the page where it goes on."),
        (10, 50, 650, "Tea"),
        (10, 250, 650, "4.20"),
        (10, 50, 638, "Milk"),
        (10, 250, 638, "1.10"),
        *[(10, x, 600, text) for x, text in ((50, "Item"), (250, "Price"), (450, "Stock"))],
        *[(10, x, 588, text) for x, text in ((50, "Tea"), (250, "4.20"), (450, "7"))],
    ]
    extract = read_bytes(make_pdf(first, [(10, 50, 700, "Second page.")]), "a.pdf")
    assert [section.page for section in extract.sections] == [1, 2]
    assert list(parts(extract)) == [
        (
            "Annual Report",
            f"{long} the page where it goes on.\n\nTea | 4.20\nMilk | 1.10\n\n"
            "Item | Price | Stock\nTea | 4.20 | 7",
        ),
        ("Annual Report", "Second page."),
    ]


def test_running_heads_and_page_numbers_are_left_out() -> None:
    pages = [
        [
            (10, 50, 780, "ACME Handbook"),
            *[(10, 50, 700 - 30 * n, f"Rule {7 * page + n} says so.") for n in range(4)],
            (10, 300, 20, f"Page {page} of 5"),
        ]
        for page in range(1, 6)
    ]
    extract = read_bytes(make_pdf(*pages), "a.pdf")
    text = " ".join(section.text for section in extract.sections)
    assert "ACME" not in text and "of 5" not in text and text.count("says so.") == 20


def test_an_encrypted_pdf_a_picture_and_a_broken_one_are_named_as_such() -> None:
    whole = make_pdf([(10, 50, 700, "Secret")])
    encrypt = b"/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O (%s) /U (%s) >> /ID [(a) (b)] >>" % (
        b"o" * 32,
        b"u" * 32,
    )
    locked = whole.replace(b"/Size", encrypt[:-2] + b"/Size")
    with pytest.raises(Unreadable, match="encrypted with a password"):
        read_bytes(locked, "a.pdf")
    colour = b"/Width 1 /Height 1 /ColorSpace /DeviceGray /BitsPerComponent 8"
    image = b"<< /Type /XObject /Subtype /Image %s /Length 1 >>" % colour
    page = b"/Resources << /XObject << /I 5 0 R >> >> /MediaBox [0 0 9 9] /Contents 4 0 R"
    scanned = pdf(
        {
            1: b"<< /Type /Catalog /Pages 2 0 R >>",
            2: b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            3: b"<< /Type /Page /Parent 2 0 R %s >>" % page,
            4: b"<< /Length 16 >>\nstream\n9 0 0 9 0 0 cm /I Do\nendstream",
            5: image + b"\nstream\n\x00\nendstream",
        }
    )
    with pytest.raises(Unreadable, match="scanned"):
        read_bytes(scanned, "a.pdf")
    with pytest.raises(Unreadable, match="damaged"):
        read_bytes(b"%PDF-1.7 nothing", "a.pdf")


def test_a_page_drawn_out_of_order_is_read_from_top_to_bottom() -> None:
    page = [
        (10, 50, 600, "Body Labor"),
        (10, 300, 600, "150"),
        (10, 50, 588, "Paint Labor"),
        (10, 300, 588, "225"),
        (10, 50, 576, "Polish"),
        (10, 300, 576, "12"),
        (10, 50, 500, "Note"),
        (10, 50, 700, "ACME Repair"),
        (10, 300, 500, "Minor repair of the bumper"),
        (10, 50, 620, "Totals of the estimate"),
    ]
    (part,) = parts(read_bytes(make_pdf(page), "a.pdf"))
    assert part[1] == (
        "ACME Repair\n\nTotals of the estimate\n\nBody Labor | 150\nPaint Labor | 225\nPolish | 12\n\n"
        "Note | Minor repair of the bumper"
    )


def _column(x: int, y: int, words: str) -> list[tuple[int, int, int, str]]:
    return [(10, x, y - 12 * index, f"{words} goes on in line {index}") for index in range(4)]


def test_columns_keep_the_order_of_the_file_unless_the_right_one_comes_first() -> None:
    left, right = _column(50, 700, "The left"), _column(330, 700, "The right")
    head = [(10, 50, 760, "A headline that reaches over both of the columns of this page, as headlines do")]
    for page in ([*head, *left, *right], [*right, *left, *head]):
        text = " ".join(text for _, text in parts(read_bytes(make_pdf(page), "a.pdf")))
        assert text.index("headline") < text.index("The left") < text.index("The right")
        assert text.index("left goes on in line 3") < text.index("The right")


@pytest.mark.parametrize("turned", [False, True])
def test_a_turned_page_is_read_as_it_is_seen(turned: bool) -> None:
    page = [
        (10, 50, 500, "Item"),
        (10, 250, 500, "Price"),
        (10, 50, 488, "Tea"),
        (10, 250, 488, "4.20"),
        (10, 50, 450, "Ask for the cake."),
    ]
    (part,) = parts(read_bytes(make_pdf(page, turned=turned), "a.pdf"))
    assert part[1] == "Item | Price\nTea | 4.20\n\nAsk for the cake."


def test_lines_of_code_stay_a_block_and_a_typescript_is_none() -> None:
    page = [
        (10, 50, 700, "Call the service like this; the answer tells whether it is open now, as everybody can see."),
        (9, 60, 680, "$if open:"),
        (9, 82, 669, "$print 1"),
        (10, 50, 640, "Then close it."),
    ]
    (part,) = parts(read_bytes(make_pdf(page), "a.pdf"))
    assert part[1].endswith("as everybody can see.\n\n```\nif open:\n    print 1\n```\n\nThen close it.")
    typed = [(10, 50, 700 - 12 * index, f"$A letter has many lines such as {index}") for index in range(4)]
    assert "```" not in " ".join(text for _, text in parts(read_bytes(make_pdf(typed), "a.pdf")))


def _row(y: int, *cells: str) -> list[tuple[int, int, int, str]]:
    return [(10, 50 + 120 * index, y, text) for index, text in enumerate(cells) if text]


def test_rows_under_a_bold_header_name_their_columns() -> None:
    page = [
        *_row(700, "Totals of the year"),
        *_row(688, "", "*Hours", "*Rate", "*Cost"),
        *_row(676, "Paint", "1.5", "150", "225"),
        *_row(664, "Supplies"),
        *_row(652, "Body", "", "-", "30"),
        *_row(640, "Sum", "2", "n/a", "5,738"),
        *_row(628, "Note", "Only a minor repair"),
    ]
    (part,) = parts(read_bytes(make_pdf(page), "a.pdf"))
    first = "Paint; Hours: 1.5; Rate: 150; Cost: 225\nSupplies\nBody; Rate: -; Cost: 30"
    rows = f"{first}\nSum; Hours: 2; Rate: n/a; Cost: 5,738"
    assert part[1].replace("\n\n", "\n") == f"Totals of the year\n{rows}\nNote | Only a minor repair"


@pytest.mark.parametrize(
    "rows",
    [
        [("Name", "Ann", "City"), ("Age", "34", "9000"), ("Floor", "2", "12")],  # no header: nothing is bold
        [("*Name", "Ann", "*City", "Rome"), ("*Age", "34", "*Code", "9000"), ("*Floor", "2", "*Door", "12")],  # a form
        [("*Name", "*Ann", "*City"), ("*Age", "*34", "*9000"), ("*Floor", "*2", "*12")],  # all is bold
        [("*Item", "*Place", "*Shop"), ("Tea", "Rome", "A"), ("Milk", "Bonn", "B")],  # no numbers below
        [("*Plan for two",), ("*Item", "*Price"), ("Tea", "4"), ("Milk", "1")],  # two columns
    ],
)
def test_what_may_be_no_table_keeps_its_bars(rows: list[tuple[str, ...]]) -> None:
    page = [cell for index, row in enumerate(rows) for cell in _row(700 - 12 * index, *row)]
    (part,) = parts(read_bytes(make_pdf(page), "a.pdf"))
    assert part[1].split("\n") == [" | ".join(cell.lstrip("*") for cell in row) for row in rows]


def test_the_number_of_a_heading_is_no_cell() -> None:
    page = [(10, 50, 700, "3.1"), (10, 90, 700, "Detection of models"), (10, 50, 650, "4.20"), (10, 90, 650, "7")]
    (part,) = parts(read_bytes(make_pdf(page), "a.pdf"))
    assert part[1] == "3.1 Detection of models\n\n4.20 | 7"


def test_glyphs_without_a_character_cost_no_structure_and_no_sign() -> None:
    """A font whose code 3 is drawn as a bar and stands for nothing, as minus signs do in some journals."""
    shows = (
        b"BT /F 10 Tf 50 700 Td (Item) Tj 200 0 Td (Energy) Tj ET\n"
        b"BT /F 10 Tf 50 688 Td (A) Tj ET\n"
        b"BT /M 10 Tf 250 688 Td (\x03) Tj ET BT /F 10 Tf 258 688 Td (0.93) Tj ET"
    )
    bar = b"8 0 0 3 7.5 4 d1 0 3 7.5 1 re f"
    minus = (
        b"<< /Type /Font /Subtype /Type3 /FontBBox [0 0 8 8] /FontMatrix [.1 0 0 .1 0 0] /FirstChar 3 /LastChar 3 "
        b"/Widths [8] /CharProcs << /C0 6 0 R >> /Encoding << /Type /Encoding /Differences [3 /C0] >> >>"
    )
    plain = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
    page = b"/Resources << /Font << /F 7 0 R /M 5 0 R >> >> /MediaBox [0 0 600 800] /Contents 4 0 R"
    data = pdf(
        {
            1: b"<< /Type /Catalog /Pages 2 0 R >>",
            2: b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            3: b"<< /Type /Page /Parent 2 0 R %s >>" % page,
            4: b"<< /Length %d >>\nstream\n%s\nendstream" % (len(shows), shows),
            5: minus,
            6: b"<< /Length %d >>\nstream\n%s\nendstream" % (len(bar), bar),
            7: plain,
        }
    )
    (part,) = parts(read_bytes(data, "a.pdf"))
    assert part[1] == "Item | Energy\nA | -0.93"


@pytest.mark.parametrize("cut", [4, 9, 30])
@pytest.mark.parametrize("name", ["a.pdf", "scan", "a.dat"])
def test_a_pdf_without_its_first_bytes_is_a_pdf_all_the_same(cut: int, name: str) -> None:
    whole = b"%PDF-1.7\n% made by hand, for a test\n" + make_pdf([(10, 50, 700, "The lamp burns for 38 hours.")])[9:]
    extract = read_bytes(whole[cut:], name)
    assert extract.type == "pdf"
    assert list(parts(extract)) == [("", "The lamp burns for 38 hours.")]


def test_a_text_about_pdfs_is_a_text() -> None:
    text = "How a PDF is built\n\n1 0 obj\n<< /Type /Catalog >>\nendobj\n\nstartxref\n9\n%%EOF\n"
    for name in ("a.md", "a.txt", "notes.rst"):
        assert read_bytes(text.encode(), name).type != "pdf"
    assert read_bytes(b"No page, by mistake: an HTML <b>error</b> saved as a PDF.", "a.pdf").type == "txt"
