"""E-mail messages, by the standard library."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import Message
from email.utils import parsedate_to_datetime

from toolkit.documents.model import Extract, Unreadable
from toolkit.documents.outline import Outline, clean, one_line
from toolkit.documents.readers.html import walk_html
from toolkit.documents.sniff import decode, encoding_by_bom, meant_encoding

_FIELDS = ("From", "To", "Cc", "Date", "Subject")
_SIGNATURES = {"pgp-signature", "pkcs7-signature", "x-pkcs7-signature"}
_MOST_PARTS = 200
_MOST_DEPTH = 2  # of messages within messages
_MOST_NESTING = 50  # of parts within parts
_LEAST_PLAIN = 20  # a shorter plain text beside a page is "see the HTML version"


def read_mail(data: bytes, name: str, depth: int = 0) -> Extract:
    """Read a message: its subject as heading, sender and date as a block, then text and attachments.

    Raises:
        Unreadable: If its parts lie within parts without an end.
    """
    if encoding_by_bom(data):
        data = decode(data)[0].encode("utf-8")
    try:
        message = message_from_bytes(data.lstrip(), policy=policy.default)
        outline = Outline("eml", _field(message, "Subject"))
        outline.date = _day(message)
        _write_message(message, outline, 1, depth)
    except RecursionError as error:
        raise Unreadable("its nesting is too deep") from error
    return outline.finish()


def _write_message(message: Message, outline: Outline, level: int, depth: int) -> None:
    outline.heading(level, _field(message, "Subject"))
    outline.block("\n".join(f"{field}: {text}" for field in _FIELDS if (text := _field(message, field))))
    parts = [part for _, part in zip(range(_MOST_PARTS + 1), _parts(message, 0), strict=False)]
    if len(parts) > _MOST_PARTS:
        outline.warnings.append(f"parts after the first {_MOST_PARTS} are not in")
    parts = parts[:_MOST_PARTS]
    for part in parts:
        if _is_text(part):
            _write_text(part, outline, level)
    for part in parts:
        if not _is_text(part) and part.get_content_subtype() not in _SIGNATURES:
            _write_attachment(part, outline, level + 1, depth)


def _field(message: Message, name: str) -> str:
    # The parser of structured fields raises on some broken ones; a message is worth more than one field.
    try:
        return one_line(str(message.get(name, "")))
    except (ValueError, IndexError, AttributeError, KeyError, TypeError, LookupError):
        return ""


def _day(message: Message) -> str:
    try:
        return parsedate_to_datetime(_field(message, "Date")).date().isoformat()
    except (ValueError, TypeError, IndexError, OverflowError):
        return ""


def _parts(part: Message, nesting: int) -> Iterator[Message]:
    """Yield the parts that a reader would be shown: of alternatives the best one, all of the rest."""
    if part.get_content_maintype() != "multipart" or not part.is_multipart() or nesting >= _MOST_NESTING:
        if part.is_multipart() or part.get_payload():
            yield part
        return
    children = [child for child in part.get_payload() if isinstance(child, Message)]
    if part.get_content_subtype() == "alternative":
        children = _best(children)
    for child in children:
        yield from _parts(child, nesting + 1)


def _best(alternatives: list[Message]) -> list[Message]:
    """Choose plain text rather than a page, for senders write it for reading, and keep what is no text."""
    plain = [part for part in alternatives if part.get_content_type() == "text/plain"]
    rest = [part for part in alternatives if part not in plain]
    pages = [part for part in rest if part.is_multipart() or part.get_content_type() == "text/html"]
    if pages and len("".join(map(_text, plain)).strip()) < _LEAST_PLAIN:
        return rest
    kept = [part for part in rest if part not in pages]
    # A page in a `related` part may bring a document along; its pictures are named either way.
    extra = [inner for page in pages if page.is_multipart() for inner in page.walk() if _is_attached(inner)]
    return [*plain, *kept, *extra] if plain else alternatives


def _text(part: Message) -> str:
    raw = part.get_payload(decode=True)
    if not isinstance(raw, bytes):
        return str(part.get_payload() or "")
    charset = part.get_content_charset()
    try:
        return raw.decode(meant_encoding(charset)) if charset else decode(raw)[0]
    except (LookupError, UnicodeDecodeError):
        return decode(raw)[0]


def _is_text(part: Message) -> bool:
    return part.get_content_type() in {"text/plain", "text/html"} and not _is_attached(part)


def _write_text(part: Message, outline: Outline, level: int) -> None:
    text = _text(part)
    if part.get_content_type() == "text/html":
        walk_html(text, outline, base=level)
        outline.leave(level + 1)
        return
    for block in re.split(r"\n[ \t]*\n", clean(text)):
        outline.block("\n".join(line.rstrip() for line in block.split("\n")))


def _is_attached(part: Message) -> bool:
    return bool(part.get_filename()) or part.get_content_disposition() == "attachment"


def _write_attachment(part: Message, outline: Outline, level: int, depth: int) -> None:
    from toolkit.documents.readers import read_bytes

    name = one_line(part.get_filename() or "")
    raw = part.get_payload(decode=True)
    if part.get_content_type() == "message/rfc822" and part.is_multipart() and depth < _MOST_DEPTH:
        for inner in part.get_payload():
            if isinstance(inner, Message):
                _write_message(inner, outline, level, depth + 1)
                outline.leave(level)
    elif isinstance(raw, bytes) and depth < _MOST_DEPTH and (name or part.get_content_maintype() != "image"):
        name = name or part.get_content_type()
        try:
            outline.include(read_bytes(raw, name, depth=depth + 1), level, name)
        except Unreadable as error:
            outline.warnings.append(f"attachment {name}: {error}")
    else:
        outline.warnings.append(f"attachment {name or part.get_content_type()}: not opened")
