"""Tables of the documents: read back from the passages, computed over, and asked about."""

from toolkit.tables.asking import Asker, asked_columns, parts_of
from toolkit.tables.candidates import Candidate
from toolkit.tables.facts import Fact, fact_of
from toolkit.tables.fitting import TableSense, fit_sense
from toolkit.tables.grounding import IndexedTable
from toolkit.tables.held import HeldTables
from toolkit.tables.model import Measure, Piece, Row, Table, tables_of
from toolkit.tables.quantities import Measures, Quantity
from toolkit.tables.reading import Explained, questions_about_two
from toolkit.tables.tool import Computed, TableTool
from toolkit.tables.wordings import wording_of

__all__ = [
    "Asker", "Candidate", "Computed", "Explained", "Fact", "HeldTables", "IndexedTable", "Measure", "Measures", "Piece",
    "Quantity", "Row", "Table", "TableSense", "TableTool", "asked_columns", "fact_of", "fit_sense", "parts_of",
    "questions_about_two", "tables_of", "wording_of",
]  # fmt: skip
