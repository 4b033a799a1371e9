"""Reads a person's files into LangChain documents, each file in a process that can be killed."""

from __future__ import annotations

from toolkit.documents.finding import find_files, hash_file
from toolkit.documents.model import PARSER_VERSION, FoundFile, ParsedFile, ParseLimits
from toolkit.documents.pool import parse_files

__all__ = [
    "PARSER_VERSION",
    "FoundFile",
    "ParseLimits",
    "ParsedFile",
    "find_files",
    "hash_file",
    "parse_files",
]
