"""Metadata filters: the form that Chroma's users know, as a condition on the manifest."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from toolkit.errors import DataError

_COMPARE = {"$eq": "=", "$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}
_SIGNS = {"=": "$eq", "!=": "$ne", ">": "$gt", ">=": "$gte", "<": "$lt", "<=": "$lte"}
_CONDITION = re.compile(r"\s*([^=!<>]+?)\s*(=|!=|>=|<=|>|<)\s*(.+?)\s*", re.DOTALL)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_HINT = "Write {'source': 'a.md'}, {'type': ['md', 'pdf']}, {'date': {'$gte': '2024'}} or {'$or': [...]}."


def sql_condition(filter: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """Turn a filter into an SQL condition on the table ``chunk``, with its values.

    Keys are metadata keys; a value is what the metadata must equal, a list of such values, or operators:
    ``$eq $ne $gt $gte $lt $lte $in $nin``. ``$and`` and ``$or`` join filters. Where the metadata hold a
    list, one fitting member is enough. Dates compare as ISO texts.

    Raises:
        DataError: The filter cannot be understood.
    """
    parts = [_entry(key, value) for key, value in filter.items()]
    if not parts:
        return "1", []
    return " AND ".join(f"({sql})" for sql, _ in parts), [value for _, values in parts for value in values]


def read_filter(conditions: Sequence[str], **choices: Sequence[str]) -> dict[str, Any] | None:
    """Read a filter from the words of a command line.

    Args:
        conditions: Such as ``date>=2024-05-01``, ``page=3`` or ``tags=billing``; all of them must hold.
        **choices: Metadata key -> values of which it must have one; no values, no choice.

    Returns:
        The filter, or None where there is nothing to filter by.

    Example:
        >>> read_filter(["date>=2024-05-01"], type=["md", "pdf"])
        {'$and': [{'type': ['md', 'pdf']}, {'date': {'$gte': '2024-05-01'}}]}

    Raises:
        DataError: A condition has no form that is known here.
    """
    parts: list[dict[str, Any]] = [{key: list(values)} for key, values in choices.items() if values]
    for condition in conditions:
        match = _CONDITION.fullmatch(condition)
        if match is None:
            raise DataError(f"{condition!r} is no condition.", "Write KEY=VALUE, or KEY>=VALUE, such as date>=2024.")
        key, sign, text = match.groups()
        parts.append(_condition(key, _SIGNS[sign], text))
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else {"$and": parts}


def _condition(key: str, operator: str, text: str) -> dict[str, Any]:
    """Return one condition; what looks like a number, or like true and false, is compared as both."""
    number = {"true": 1.0, "false": 0.0}.get(text.lower())
    if _NUMBER.fullmatch(text):
        number = float(text)
    if number is None:
        return {key: {operator: text}}
    if operator == "$ne":
        return {"$and": [{key: {operator: text}}, {key: {operator: number}}]}
    return {"$or": [{key: {operator: text}}, {key: {operator: number}}]}


def _entry(key: str, value: Any) -> tuple[str, list[Any]]:
    """Turn one key of a filter into a condition."""
    if key in ("$and", "$or"):
        if (
            not isinstance(value, list | tuple)
            or not all(isinstance(item, Mapping) for item in value)
            or not value
        ):
            raise DataError(f"The filter's {key} needs a list of filters.", _HINT)
        parts = [sql_condition(item) for item in value]
        word = " AND " if key == "$and" else " OR "
        return word.join(f"({sql})" for sql, _ in parts), [item for _, values in parts for item in values]
    if key.startswith("$"):
        raise DataError(f"The filter's operator {key} is not known here.", _HINT)
    if isinstance(value, Mapping):
        parts = [_operator(key, operator, operand) for operator, operand in value.items()]
        return " AND ".join(sql for sql, _ in parts) or "1", [item for _, values in parts for item in values]
    return _operator(key, "$in" if isinstance(value, list | tuple | set) else "$eq", value)


def _operator(key: str, operator: str, operand: Any) -> tuple[str, list[Any]]:
    """Turn one operator on one key into a condition."""
    if operator in ("$ne", "$nin"):
        sql, values = _operator(key, "$eq" if operator == "$ne" else "$in", operand)
        return f"NOT {sql}", values
    if operator == "$in":
        operands = list(operand) if isinstance(operand, list | tuple | set) else [operand]
        test = f"value IN ({','.join('?' * len(operands))})"
    elif operator in _COMPARE:
        operands = [operand]
        test = f"value {_COMPARE[operator]} ?"
        if operator not in ("$eq",):
            # SQLite puts every number before every text: compare like with like only.
            test += " AND typeof(value) " + ("= 'text'" if isinstance(operand, str) else "!= 'text'")
    else:
        raise DataError(f"The filter's operator {operator} is not known here.", _HINT)
    if not all(isinstance(item, str | int | float | bool) for item in operands):
        raise DataError(f"The filter on {key!r} compares with something that is no text or number.", _HINT)
    if key == "source":
        return f"EXISTS (SELECT 1 FROM (SELECT source AS value) WHERE {test})", operands
    path = '$."' + key.replace('"', "") + '"'
    return f"EXISTS (SELECT 1 FROM json_each(chunk.metadata, ?) WHERE {test})", [path, *operands]
