"""The tools that need no document: a calculator and dates."""

from __future__ import annotations

import ast
import datetime
import operator
from collections.abc import Callable
from typing import Annotated, Any

from langchain_core.tools import BaseTool, StructuredTool, ToolException

from toolkit.agent.found import Told, computed
from toolkit.language import Language

# Longer than any sum that belongs to a question; a chain of powers is no sum.
_LONGEST = 200
# Of more digits than these a sum of prices has none that count.
_DIGITS = 12


class PlainTools:
    """Calculates, and counts days.

    Args:
        language: The language that results are held against.
        today: Tells the date.
    """

    def __init__(self, language: Language, today: Callable[[], datetime.date] = datetime.date.today) -> None:
        self._language = language
        self._today = today

    def tools(self) -> list[BaseTool]:
        """Return them for a model."""
        made = (self.calculate, self.today, self.days_between, self.add_days)
        return [
            StructuredTool.from_function(one, response_format="content_and_artifact", handle_tool_error=True)
            for one in made
        ]

    def calculate(
        self, expression: Annotated[str, "Numbers with + - * / % ** ( ), and round, min, max, abs: 3 * (14.5 + 2)"]
    ) -> Told:
        """Calculate with numbers."""
        return self._told(f"{expression.strip()} = {calculated(expression)}")

    def today(self) -> Told:
        """Return the date of today, and its weekday."""
        day = self._today()
        return self._told(f"Today is {day.isoformat()}, a {day:%A}.")

    def days_between(
        self, first: Annotated[str, "A date, as 2026-01-31"], second: Annotated[str, "A later date, as 2026-02-28"]
    ) -> Told:
        """Count the days from one date to another."""
        days = (_date(second) - _date(first)).days
        return self._told(f"From {first} to {second} it is {days} days.")

    def add_days(
        self, date: Annotated[str, "A date, as 2026-01-31"], days: Annotated[int, "Days to go on; negative goes back"]
    ) -> Told:
        """Return the date some days after another, and its weekday."""
        try:
            day = _date(date) + datetime.timedelta(days=days)
        except OverflowError as error:
            raise ToolException("There is no such date.") from error
        return self._told(f"{days} days from {date} is {day.isoformat()}, a {day:%A}.")

    def _told(self, text: str) -> Told:
        return text, computed(text, self._language)


def calculated(expression: str) -> str:
    """Return the value of an expression of numbers; all of them are floats, so that none grows without end.

    Raises:
        ToolException: It is none, or has no value.

    Example:
        >>> calculated("3 * (14.5 + 2)")
        '49.5'
    """
    from simpleeval import SimpleEval

    if len(expression) > _LONGEST:
        raise ToolException(f"Of {_LONGEST} letters at most.")
    evaluator = SimpleEval(operators=_OPERATORS, functions=_FUNCTIONS, names={})
    try:
        value = _number(evaluator.eval(expression))
    # Whatever is wrong with it is told to the model; a mistake in an expression is its to mend.
    except Exception as error:  # noqa: BLE001
        raise ToolException(f"That cannot be calculated: {error}") from error
    return f"{value:.{_DIGITS}g}"


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("only numbers can be")
    return float(value)


def _of_numbers(function: Callable[..., Any]) -> Callable[..., float]:
    def calculate(*values: Any) -> float:
        return _number(function(*map(_number, values)))

    return calculate


_OPERATORS = {
    ast.Add: _of_numbers(operator.add), ast.Sub: _of_numbers(operator.sub), ast.Mult: _of_numbers(operator.mul),
    ast.Div: _of_numbers(operator.truediv), ast.Mod: _of_numbers(operator.mod), ast.Pow: _of_numbers(operator.pow),
    ast.FloorDiv: _of_numbers(operator.floordiv), ast.USub: _of_numbers(operator.neg),
    ast.UAdd: _of_numbers(operator.pos),
}  # fmt: skip
_FUNCTIONS = {
    "abs": _of_numbers(abs), "min": _of_numbers(min), "max": _of_numbers(max),
    "round": _of_numbers(lambda value, digits=0.0: round(value, int(digits))),
}  # fmt: skip


def _date(text: str) -> datetime.date:
    try:
        return datetime.date.fromisoformat(text.strip())
    except ValueError as error:
        raise ToolException(f"{text!r} is no date; write it as 2026-01-31.") from error
