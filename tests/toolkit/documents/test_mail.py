"""Messages: all their parts, in the right letters, those within others too."""

from __future__ import annotations

from email.message import EmailMessage

import pytest

from toolkit.documents.model import Extract, Unreadable
from toolkit.documents.readers import read_bytes


def parts(extract: Extract) -> list[tuple[str, str]]:
    return [(" > ".join(section.heading), section.text) for section in extract.sections]


def message(subject: str, text: str) -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["Subject"], mail["Date"] = "ann@example.org", subject, "Tue, 02 Jan 2024 09:00:00 +0100"
    mail.set_content(text)
    return mail


HEAD = "From: ann@example.org\nDate: Tue, 02 Jan 2024 09:00:00 +0100\nSubject: "


def test_latin_1_means_what_windows_writes() -> None:
    raw = (
        b"From: a@b.c\nTo: d@e.f\nSubject: x\nContent-Type: text/plain; charset=iso-8859-1\n"
        b"Content-Transfer-Encoding: quoted-printable\n\nReply =93Yes we=92re in=94 for 5=80.\n"
    )
    assert "Reply “Yes we’re in” for 5€." in parts(read_bytes(raw, "a.eml"))[0][1]
    page = b'<meta charset="iso-8859-1"><p>It\x92s caf\xe9 time</p>'
    assert parts(read_bytes(page, "a.html"))[0][1] == "It’s café time"


def test_every_text_of_a_message_is_in_and_only_one_of_alternatives() -> None:
    mail = message("Trip", "See the list of shops below.")
    mail.add_alternative("<p>See the <b>page</b>.</p>", subtype="html")
    mail.make_mixed()
    tail = EmailMessage()
    tail.set_content("Sent to the list; leave it at any time.")
    mail.attach(tail)
    assert parts(read_bytes(mail.as_bytes(), "a.eml")) == [
        ("Trip", f"{HEAD}Trip\n\nSee the list of shops below.\n\nSent to the list; leave it at any time.")
    ]


def test_a_stub_of_plain_text_gives_way_to_the_page() -> None:
    mail = message("News", "See HTML.")
    mail.add_alternative("<h1>Sale</h1><p>Tea is half the price this week.</p>", subtype="html")
    assert parts(read_bytes(mail.as_bytes(), "a.eml")) == [
        ("News", f"{HEAD}News"),
        ("News > Sale", "Tea is half the price this week."),
    ]


def test_a_message_within_a_message_is_read_under_its_own_subject() -> None:
    inner = message("Old offer", "We sell tea.")
    inner.add_attachment("Item,Price\nTea,4\n", subtype="csv", filename="prices.csv")
    outer = message("Fwd", "Look at this, please.")
    outer.add_attachment(inner)
    extract = read_bytes(outer.as_bytes(), "a.eml")
    assert extract.date == "2024-01-02"
    assert parts(extract) == [
        ("Fwd", f"{HEAD}Fwd\n\nLook at this, please."),
        ("Fwd > Old offer", f"{HEAD}Old offer\n\nWe sell tea."),
        ("Fwd > Old offer > prices.csv", "Item: Tea; Price: 4"),
    ]


def test_signatures_are_no_text_and_what_is_too_deep_is_named() -> None:
    mail = message("Signed", "Words that count.")
    mail.add_attachment(b"-----BEGIN PGP SIGNATURE-----", "application", "pgp-signature", filename="s.asc")
    extract = read_bytes(mail.as_bytes(), "a.eml")
    assert parts(extract) == [("Signed", f"{HEAD}Signed\n\nWords that count.")] and not extract.warnings
    deep = message("0", "bottom")
    for number in range(1, 5):
        outer = message(str(number), "level")
        outer.add_attachment(deep)
        deep = outer
    extract = read_bytes(deep.as_bytes(), "a.eml")
    assert [heading for heading, _ in parts(extract)] == ["4", "4 > 3", "4 > 3 > 2"]
    assert extract.warnings == ["attachment message/rfc822: not opened"]


def without_end(kind: str) -> bytes:
    """Make a message whose parts lie within parts."""
    raw = "From: ann@example.org\nTo: bob@example.org\nSubject: Deep\n"
    return (raw + "".join(f"Content-Type: {kind.format(number)}\n" for number in range(3000))).encode()


@pytest.mark.parametrize("kind", ["multipart/mixed; boundary=b{0}\n\n--b{0}", "message/rfc822\n\nSubject: x"])
def test_parts_within_parts_without_an_end_are_named(kind: str) -> None:
    with pytest.raises(Unreadable, match="nesting is too deep"):
        read_bytes(without_end(kind), "a.eml")
    outer = message("Fwd", "Look at this, please.")
    outer.add_attachment(without_end(kind), maintype="application", subtype="octet-stream", filename="old.eml")
    extract = read_bytes(outer.as_bytes(), "a.eml")
    assert "Look at this" in parts(extract)[0][1]
    assert extract.warnings == ["attachment old.eml: its nesting is too deep"]
