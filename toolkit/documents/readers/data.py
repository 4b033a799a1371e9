"""JSON, JSON Lines and XML: records as lines that name their fields."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from toolkit.documents.model import Extract, Unreadable
from toolkit.documents.outline import Outline, clean, one_line
from toolkit.documents.readers.xml import parse_xml
from toolkit.documents.sniff import decode, encoding_by_bom

_ROW_LENGTH = 300  # a record longer than this gets a line for each field
_RECORD_LENGTH = 2000  # a record longer than this is cut at its nested parts
_MOST_WARNINGS = 20


def read_json(text: str, name: str) -> Extract:
    """Read JSON: lists of objects as records, objects as fields, the keys of nested ones as headings.

    Raises:
        Unreadable: If it is no JSON; the line is named.
    """
    outline = Outline("json")
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            return read_jsonl(text, name)
        raise Unreadable(f"damaged JSON (line {error.lineno}: {error.msg})") from error
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"damaged JSON ({type(error).__name__})") from error
    write_value(value, outline, 1)
    return outline.finish()


def read_jsonl(text: str, name: str) -> Extract:
    """Read JSON Lines: one record a line; a bad line is named and the rest goes in."""
    outline = Outline("jsonl")
    bad = good = 0
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            bad += 1
            if bad <= _MOST_WARNINGS:
                outline.warnings.append(f"line {number}: {one_line(str(error))[:120]}")
            continue
        good += 1
        _write_record(value, outline)
    if bad > _MOST_WARNINGS:
        outline.warnings.append(f"and {bad - _MOST_WARNINGS} more bad lines")
    if bad and not good:
        raise Unreadable(f"damaged JSON Lines ({outline.warnings[0]})")
    return outline.finish()


def read_xml(data: bytes, name: str) -> Extract:
    """Read XML of any vocabulary: elements as fields, repeated ones as records."""
    if (encoding_by_bom(data) or "utf-8") != "utf-8":
        text = decode(data)[0]
        data = text.partition("?>")[2].encode() if text.lstrip().startswith("<?xml") else text.encode()
    root = parse_xml(data)
    outline = Outline("xml")
    write_value(_element_value(root, 0), outline, 1)
    return outline.finish()


def _element_value(node: Any, depth: int) -> Any:
    children = [child for child in node if isinstance(child.tag, str)]
    own = one_line((node.text or "") + " ".join(child.tail or "" for child in node))
    if depth > 60 or own and children:
        return one_line(" ".join(node.itertext()))  # running text with marks in it
    fields: dict[str, Any] = {_local(key): value for key, value in node.attrib.items()}
    if not children:
        return {**fields, "text": own} if fields and own else fields or own
    for child in children:
        key, value = _local(child.tag), _element_value(child, depth + 1)
        if key not in fields:
            fields[key] = value
        elif isinstance(fields[key], list):
            fields[key].append(value)
        else:
            fields[key] = [fields[key], value]
    return fields


def _local(tag: Any) -> str:
    return str(tag).rpartition("}")[2]


def write_value(value: Any, outline: Outline, level: int) -> None:
    """Write any JSON value: fields together, then each nested list or object under its key as heading."""
    if isinstance(value, list):
        for item in value:
            if level < 6 and _is_large(item):
                write_value(item, outline, level)
                outline.part()
            else:
                _write_record(item, outline)
        return
    if not isinstance(value, dict):
        outline.block(clean(_scalar(value)))
        return
    nested = {k: v for k, v in value.items() if isinstance(v, list | dict) and not _is_scalars(v)}
    own = {k: v for k, v in value.items() if k not in nested}
    if own:
        _write_record(own, outline)
    for key, inner in nested.items():
        if level >= 6:
            _write_record({key: inner}, outline)
            continue
        outline.heading(level, str(key))
        write_value(inner, outline, level + 1)
        outline.leave(level)


def _write_record(value: Any, outline: Outline) -> None:
    fields = [(key, text) for key, text in _flat(value, "", 0) if text.strip()]
    row = "; ".join(f"{key}: {one_line(text)}" if key else one_line(text) for key, text in fields)
    if len(row) <= _ROW_LENGTH:
        outline.block(row)
    else:
        outline.block(clean("\n".join(f"{key}: {text}" if key else text for key, text in fields)))
    outline.part()


def _flat(value: Any, path: str, depth: int) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and depth < 60:
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else one_line(str(key)), depth + 1)
    elif isinstance(value, list) and _is_scalars(value):
        yield path, ", ".join(_scalar(item) for item in value)
    elif isinstance(value, list) and depth < 60:
        for number, inner in enumerate(value, 1):
            yield from _flat(inner, f"{path} {number}".strip(), depth + 1)
    else:
        yield path, _scalar(value)


def _is_scalars(value: Any) -> bool:
    return isinstance(value, list) and not any(isinstance(item, list | dict) for item in value)


def _is_large(value: Any) -> bool:
    """Tell whether a record is too much for one passage, so that its parts need headings of their own."""
    size = 0
    for key, text in _flat(value, "", 0):
        size += len(key) + len(text)
        if size > _RECORD_LENGTH:
            return isinstance(value, list | dict)
    return False


def _scalar(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
