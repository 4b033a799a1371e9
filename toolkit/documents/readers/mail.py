"""E-mail messages, by the standard library."""

from __future__ import annotations

import re
from email import message_from_bytes, policy
from email.message import EmailMessage, Message

from toolkit.documents.model import Extract, Unreadable
from toolkit.documents.outline import Outline, clean, one_line
from toolkit.documents.readers.html import walk_html
from toolkit.documents.sniff import decode, encoding_by_bom

_FIELDS = ("From", "To", "Cc", "Date", "Subject")
_MOST_PARTS = 200


def read_mail(data: bytes, name: str, depth: int = 0) -> Extract:
    """Read a message: its subject as heading, sender and date as a block, then text and attachments."""
    if encoding_by_bom(data):
        data = decode(data)[0].encode("utf-8")
    message = message_from_bytes(data.lstrip(), policy=policy.default)
    subject = _field(message, "Subject")
    outline = Outline("eml", subject)
    outline.heading(1, subject)
    outline.block("\n".join(f"{field}: {text}" for field in _FIELDS if (text := _field(message, field))))
    body = _body(message)
    if body is not None:
        _write_body(body, outline)
    for part in list(message.walk())[:_MOST_PARTS]:
        if part is not body and not part.is_multipart() and _is_attached(part):
            _write_attachment(part, outline, depth)
    return outline.finish()


def _field(message: Message, name: str) -> str:
    # The parser of structured fields raises on some broken ones; a message is worth more than one field.
    try:
        return one_line(str(message.get(name, "")))
    except (ValueError, IndexError, AttributeError, KeyError, TypeError, LookupError):
        return ""


def _body(message: Message) -> Message | None:
    """Return the part that is the text: plain rather than HTML, for senders write it for reading."""
    found: dict[str, Message] = {}
    for part in list(message.walk())[:_MOST_PARTS]:
        if not part.is_multipart() and not _is_attached(part):
            found.setdefault(part.get_content_type(), part)
    plain, page = found.get("text/plain"), found.get("text/html")
    if plain is not None and (page is None or len(_text(plain).strip()) >= 20):
        return plain
    return page if page is not None else plain


def _text(part: Message) -> str:
    raw = part.get_payload(decode=True)
    if not isinstance(raw, bytes):
        return str(part.get_payload() or "")
    charset = part.get_content_charset()
    try:
        return raw.decode(charset) if charset else decode(raw)[0]
    except (LookupError, UnicodeDecodeError):
        return decode(raw)[0]


def _write_body(part: Message, outline: Outline) -> None:
    text = _text(part)
    if part.get_content_type() == "text/html":
        walk_html(text, outline, base=1)
        return
    for block in re.split(r"\n[ \t]*\n", clean(text)):
        outline.block("\n".join(line.rstrip() for line in block.split("\n")))


def _is_attached(part: Message) -> bool:
    return bool(part.get_filename()) or part.get_content_disposition() == "attachment"


def _write_attachment(part: Message, outline: Outline, depth: int) -> None:
    from toolkit.documents.readers import read_bytes

    name = one_line(part.get_filename() or "attachment")
    raw = part.get_payload(decode=True)
    if isinstance(part, EmailMessage | Message) and isinstance(raw, bytes) and depth < 2:
        try:
            outline.include(read_bytes(raw, name, depth=depth + 1), 2, name)
        except Unreadable as error:
            outline.warnings.append(f"attachment {name}: {error}")
    else:
        outline.warnings.append(f"attachment {name}: not opened")
