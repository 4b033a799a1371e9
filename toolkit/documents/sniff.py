"""What a file is, from its bytes first and its name second, and its text in whatever encoding it has."""

from __future__ import annotations

import io
import re
import zipfile

from toolkit.documents.encodings import latin_encoding
from toolkit.documents.model import Unreadable

_BOMS = (
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_MOST_UNPACKED = 400 << 20  # of an office file, which its reader takes into memory whole
_DECLARED = re.compile(
    rb"""<\?xml[^>]{0,200}encoding\s*=\s*["']([\w.:-]+)|<meta[^>]{0,300}?charset\s*=\s*["']?\s*([\w.:-]+)""",
    re.IGNORECASE,
)
# Begins of files that hold no text for us, with the words for the person whose file it is.
_MAGIC = (
    (b"\x89PNG", "an image (PNG)"),
    (b"\xff\xd8\xff", "an image (JPEG)"),
    (b"GIF8", "an image (GIF)"),
    (b"II*\x00", "an image (TIFF)"),
    (b"MM\x00*", "an image (TIFF)"),
    (b"BM", "an image (BMP)"),
    (b"RIFF", "an image, sound or film (RIFF)"),
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
    (b"BZh", "a bzip2 archive; unpack it first"),
    (b"\xfd7zXZ", "an xz archive; unpack it first"),
    (b"7z\xbc\xaf", "a 7-Zip archive; unpack it first"),
    (b"Rar!", "a RAR archive; unpack it first"),
    (b"\x7fELF", "a program (ELF)"),
    (b"MZ", "a program (Windows)"),
    (b"SQLite format 3", "a database (SQLite)"),
    (b"ID3", "a sound file (MP3)"),
    (b"OggS", "a sound file (Ogg)"),
    (b"fLaC", "a sound file (FLAC)"),
    (b"\x00asm", "a program (WebAssembly)"),
    (b"\xca\xfe\xba\xbe", "a program (Java or macOS)"),
)
_BY_NAME = {
    "md": "md", "markdown": "md", "mdown": "md", "mkd": "md", "mdx": "md",
    "rst": "rst", "rest": "rst",
    "html": "html", "htm": "html", "xhtml": "html", "xht": "html",
    "csv": "csv", "tsv": "csv", "tab": "csv",
    "json": "json", "jsonl": "jsonl", "ndjson": "jsonl", "ipynb": "ipynb",
    "xml": "xml", "eml": "eml", "rtf": "rtf",
}  # fmt: skip
PDF_MARK = b"%PDF-"
_PDF_OBJECT = re.compile(rb"(?<![^\s])\d+\s+\d+\s+obj\b")
_MAIL = re.compile(
    rb"\A(?:From |(?:[A-Za-z][A-Za-z0-9-]{1,40}:[^\n]*\r?\n(?:[ \t][^\n]*\r?\n)*){2,})", re.ASCII
)
_MAIL_FIELDS = re.compile(rb"(?im)^(?:from|to|subject|date|message-id|mime-version|received|return-path):")
_HTML = re.compile(r"(?is)\A\s*(?:<!--.*?-->\s*)*(?:<!doctype\s+html|<html|<head|<body)")
# Encodings that hardly anybody used, in which charset-normalizer finds short texts all the same.
_NOT_IN_USE = (
    "cp1006", "cp1125", "iso8859_3", "iso8859_4", "iso8859_10", "iso8859_14", "iso8859_16", "hp_roman8",
    "utf_16", "utf_16_be", "utf_16_le", "utf_32", "utf_32_be", "utf_32_le",  # told by their zero bytes before
)  # fmt: skip
_LIKELY_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


def extension(name: str) -> str:
    """Return the lower-case ending of a file's name without its dot."""
    stem, dot, end = name.rpartition(".")
    return end.lower() if dot and stem else ""


def sniff(data: bytes, name: str) -> str:
    """Tell the type of a file.

    Args:
        data: The whole file.
        name: Its name; decides only between kinds of plain text.

    Returns:
        A key of the readers' table, such as ``pdf`` or ``md``.

    Raises:
        Unreadable: If it is empty or of a kind that has no text for us, which is named.
    """
    if not data.strip(b"\x00 \t\r\n\x0b\x0c"):
        raise Unreadable("the file is empty")
    if PDF_MARK in data[:1024] or _is_headless_pdf(data, name):
        return "pdf"
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _sniff_zip(data)
    if data.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return _sniff_ole(data, name)
    if data.lstrip().startswith(b"{\\rtf"):
        return "rtf"
    return _sniff_text(data, name)


def _is_headless_pdf(data: bytes, name: str) -> bool:
    """Tell a PDF that lacks its first bytes: by its objects, and by its end or its name."""
    ending = extension(name)
    if ending in _BY_NAME or ending == "txt" or b"endobj" not in data:
        return False  # a text about PDFs has objects as well
    if not _PDF_OBJECT.search(data if ending == "pdf" else data[:4096]):
        return False
    return ending == "pdf" or (b"startxref" in data[-2048:] and b"%%EOF" in data[-2048:])


def _sniff_zip(data: bytes) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = set(archive.namelist())
            unpacked = sum(entry.file_size for entry in archive.infolist())
            kind = ""
            if "mimetype" in names and archive.getinfo("mimetype").file_size < 200:
                kind = archive.read("mimetype").decode("ascii", "replace").strip()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError, EOFError) as error:
        raise Unreadable(f"a damaged ZIP or office file ({error})") from error
    if unpacked > _MOST_UNPACKED and ("[Content_Types].xml" in names or kind):
        raise Unreadable(f"it would unpack to {unpacked >> 20} MiB (a ZIP bomb?)")
    if kind == "application/epub+zip" or "META-INF/container.xml" in names:
        return "epub"
    if kind.startswith("application/vnd.oasis.opendocument"):
        flavour = kind.removeprefix("application/vnd.oasis.opendocument.").removesuffix("-template")
        return {"text": "odt", "spreadsheet": "ods", "presentation": "odp"}.get(flavour) or _refuse(kind)
    if "[Content_Types].xml" in names:
        for folder, found in (("word/", "docx"), ("ppt/", "pptx"), ("xl/", "xlsx")):
            if any(entry.startswith(folder) for entry in names):
                return found
    return "zip"


def _refuse(kind: str) -> str:
    raise Unreadable(f"an office file of a kind that is not read ({kind})")


def _sniff_ole(data: bytes, name: str) -> str:
    if "EncryptedPackage".encode("utf-16-le") in data:
        raise Unreadable("an office file encrypted with a password; save it without one")
    if "Workbook".encode("utf-16-le") in data or extension(name) == "xls":
        return "xls"
    for stream, words in (
        ("WordDocument", "a legacy Word file (.doc); save it as .docx"),
        ("PowerPoint Document", "a legacy PowerPoint file (.ppt); save it as .pptx"),
        ("__properties_version1.0", "an Outlook message (.msg); save it as .eml"),
    ):
        if stream.encode("utf-16-le") in data:
            raise Unreadable(words)
    raise Unreadable("a legacy Office file (OLE); save it in a current format")


def _sniff_text(data: bytes, name: str) -> str:
    ending = extension(name)
    if encoding_by_bom(data) is None and (words := _binary_kind(data)):
        raise Unreadable(words)
    head = decode(data[:4096])[0].lstrip("\ufeff")
    if ending == "xml" and _HTML.match(_without_declaration(head)):
        return "html"
    if ending in _BY_NAME:
        return _BY_NAME[ending]
    if _is_mail(data[:8192]):
        return "eml"
    bare = _without_declaration(head)
    if _HTML.match(bare):
        return "html"
    if head.lstrip().startswith("<?xml"):
        return "xml"
    return "txt"


def _without_declaration(head: str) -> str:
    return re.sub(r"\A\s*<\?xml[^>]*>", "", head)


def _is_mail(head: bytes) -> bool:
    return bool(_MAIL.match(head)) and len(set(map(bytes.lower, _MAIL_FIELDS.findall(head)))) >= 3


def _binary_kind(data: bytes) -> str:
    for magic, words in _MAGIC:
        # Two letters alone may begin a text; a file of text has no control bytes.
        if data.startswith(magic) and (len(magic) > 2 or _LIKELY_BINARY.search(data[:512])):
            return words
    if data[4:8] == b"ftyp":
        return "a film or image (MP4 family)"
    sample = data[:65536]
    if _wide_without_bom(sample):
        return ""
    # A stray control byte or two is a text with dirt in it; of noise they are one in ten, and so are they of
    # whatever is compressed or encrypted.
    most = max(2, min(len(sample) // 10, 8 + len(sample) // 40))
    if len(_LIKELY_BINARY.findall(sample)) > most:
        return "a binary file of unknown kind"
    return ""


def encoding_by_bom(data: bytes) -> str | None:
    """Return the encoding that a byte-order mark announces, or None."""
    return next((encoding for bom, encoding in _BOMS if data.startswith(bom)), None)


def _wide_without_bom(sample: bytes) -> str:
    """Name UTF-16 or UTF-32 without a mark: their zero bytes stand in every second or fourth place."""
    sample = sample[: len(sample) // 4 * 4]
    if len(sample) < 8 or b"\x00" not in sample:
        return ""
    quarter = len(sample) // 4
    zeros = [sample[offset::4].count(0) / quarter for offset in range(4)]
    shapes = {
        "utf-32-le": (0, 1, 1, 1),
        "utf-32-be": (1, 1, 1, 0),
        "utf-16-le": (0, 1, 0, 1),
        "utf-16-be": (1, 0, 1, 0),
    }
    for encoding, shape in shapes.items():
        if all(zero > 0.7 if wanted else zero < 0.1 for zero, wanted in zip(zeros, shape, strict=True)):
            return encoding
    return ""


def decode(data: bytes) -> tuple[str, str]:
    """Turn bytes into text.

    The order is: byte-order mark, zero-byte pattern, UTF-8, the encoding that an HTML or XML head
    declares, a guess by charset-normalizer, and UTF-8 with replacement marks.

    Returns:
        The text, and the name of the encoding; ``"utf-8 (damaged)"`` where bytes had to be replaced.
    """
    if bom := encoding_by_bom(data):
        return data.decode(bom, "replace").lstrip("\ufeff"), bom
    if wide := _wide_without_bom(data[:65536]):
        return data.decode(wide, "replace"), wide
    try:
        return data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        return _decode_odd(data)


def meant_encoding(name: str) -> str:
    """Return the encoding that a declared name stands for.

    Windows programs write cp1252 and say ISO 8859-1, whose codes for its quotation marks are controls; the
    WHATWG encoding standard therefore reads the one name as the other.
    """
    plain = name.strip().lower().replace("_", "-")
    return "cp1252" if plain in {"iso-8859-1", "iso8859-1", "latin-1", "latin1", "l1", "us-ascii", "ascii"} else name


def _decode_odd(data: bytes) -> tuple[str, str]:
    if match := _DECLARED.search(data[:4096]):
        try:
            name = meant_encoding((match[1] or match[2]).decode("ascii"))
            return data.decode(name, "replace"), name
        except (LookupError, UnicodeDecodeError):
            pass
    damaged = data.decode("utf-8", "replace")
    # Few replacements in a long text: UTF-8 with some damage, where a guess would spoil all the rest.
    if damaged.count("\ufffd") * 200 < sum(byte > 127 for byte in data[:1_000_000]) or len(data) > 50_000_000:
        return damaged, "utf-8 (damaged)"
    if latin := latin_encoding(data[:200_000]):
        return data.decode(latin, "replace"), latin
    from charset_normalizer import from_bytes

    best = from_bytes(data[:200_000], cp_exclusion=list(_NOT_IN_USE)).best()
    if best is None:
        return damaged, "utf-8 (damaged)"
    return data.decode(best.encoding, "replace"), best.encoding
