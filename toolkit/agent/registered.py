"""The user's own tools: plain Python functions that ``bot.yaml`` names."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.tools import BaseTool, StructuredTool

from toolkit.errors import ConfigError


def registered_tools(names: Sequence[str]) -> list[BaseTool]:
    """Return functions as tools: their types and docstrings tell the model what they take.

    Args:
        names: ``module:function`` each; the module must be importable.

    Raises:
        ConfigError: One cannot be found, or does not say what it takes.
    """
    return [_tool(name) for name in names]


def _tool(name: str) -> BaseTool:
    function = _function(name)
    untyped = [
        each.name
        for each in inspect.signature(function).parameters.values()
        if each.annotation is inspect.Parameter.empty
    ]
    if untyped:
        raise ConfigError(f"{name} has arguments without a type: {', '.join(untyped)}.", "Annotate them.")
    if not inspect.getdoc(function):
        raise ConfigError(f"{name} has no docstring.", "Say in it what it does: the model reads that.")
    return StructuredTool.from_function(
        function, parse_docstring=True, error_on_invalid_docstring=False, handle_tool_error=True
    )


def _function(name: str) -> Callable[..., Any]:
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        raise ConfigError(
            f"The module of the tool {name} cannot be imported: {error}.",
            "Install it, or add its folder to PYTHONPATH.",
        ) from error
    except AttributeError as error:
        raise ConfigError(f"The module {module} has no {attribute}.", "Correct `tools` in bot.yaml.") from error
    if not inspect.isroutine(found):
        raise ConfigError(f"{name} is no function.", "Name a function in `tools`.")
    return found
