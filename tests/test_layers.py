"""The layers: demo -> pipelines -> toolkit and never the other way, read from the imports themselves."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# What each layer may import of ours.
MAY_IMPORT = {"toolkit": {"toolkit"}, "pipelines": {"pipelines", "toolkit"}, "demo": {"demo", "pipelines", "toolkit"}}
HEAVY = {"torch", "transformers", "gradio", "chromadb"}


def files_of(layer: str) -> list[Path]:
    return sorted((ROOT / layer).rglob("*.py"))


def names_of(node: ast.AST) -> list[str]:
    """Return the modules that an import statement names, or that importlib is told to import."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [node.module or ""] if node.level == 0 else []
    return []


def imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield every module imported anywhere in a file, with its line."""
    for node in ast.walk(tree):
        for name in names_of(node):
            yield name, getattr(node, "lineno", 0)


def imports_on_load(body: list[ast.stmt]) -> Iterator[tuple[str, int]]:
    """Yield every module imported when a file is loaded: not in a function, not for the type checker alone."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            yield from imports_on_load(node.orelse)
            continue
        for name in names_of(node):
            yield name, node.lineno
        for field in ("body", "orelse", "finalbody"):
            yield from imports_on_load(getattr(node, field, []))
        for handler in getattr(node, "handlers", []):
            yield from imports_on_load(handler.body)


def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


@pytest.mark.parametrize("layer", MAY_IMPORT)
def test_a_layer_imports_only_what_is_below_it(layer: str) -> None:
    files = files_of(layer)
    assert files
    wrong = [
        f"{file.relative_to(ROOT)}:{line} imports {name}"
        for file in files
        for name, line in imports(parsed(file))
        if name.split(".")[0] in {*MAY_IMPORT, "tests", "benchmarks"} - MAY_IMPORT[layer]
    ]
    assert not wrong


def test_nothing_of_ours_is_imported_relatively() -> None:
    wrong = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for layer in MAY_IMPORT
        for file in files_of(layer)
        for node in ast.walk(parsed(file))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert not wrong


@pytest.mark.parametrize("layer", ["toolkit", "pipelines"])
def test_heavy_libraries_are_imported_where_they_are_used(layer: str) -> None:
    wrong = [
        f"{file.relative_to(ROOT)}:{line} imports {name}"
        for file in files_of(layer)
        for name, line in imports_on_load(parsed(file).body)
        if name.split(".")[0] in HEAVY
    ]
    assert not wrong


def test_the_toolkit_prints_nothing_and_reads_no_arguments() -> None:
    wrong = []
    for file in files_of("toolkit"):
        for node in ast.walk(parsed(file)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("print", "input"):
                wrong.append(f"{file.relative_to(ROOT)}:{node.lineno} calls {node.func.id}")
            if isinstance(node, ast.Attribute) and node.attr == "argv":
                wrong.append(f"{file.relative_to(ROOT)}:{node.lineno} reads argv")
    assert not wrong


def test_the_reading_of_imports_sees_what_it_should() -> None:
    tree = ast.parse(
        "import torch\n"
        "if TYPE_CHECKING:\n    import gradio\nelse:\n    import chromadb\n"
        "try:\n    import a\nexcept ImportError:\n    import b\n"
        "class C:\n    import c\n"
        "def f():\n    import transformers\n"
    )
    assert [name for name, _ in imports_on_load(tree.body)] == ["torch", "chromadb", "a", "b", "c"]
    assert {"transformers", "gradio"} <= {name for name, _ in imports(tree)}
