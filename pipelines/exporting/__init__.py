"""Taking a bot's model along: written for another program, loaded again, and compared with the bot."""

from pipelines.exporting.export import ExportResult, export_bot
from pipelines.exporting.wanted import FORMS, Form, Wanted

__all__ = ["FORMS", "ExportResult", "Form", "Wanted", "export_bot"]
