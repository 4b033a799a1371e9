"""The layers: demo -> pipelines -> toolkit and never the other way, read from the imports themselves."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# What each layer may import of ours.
MAY_IMPORT = {"toolkit": {"toolkit"}, "pipelines": {"pipelines", "toolkit"}, "demo": {"demo", "pipelines", "toolkit"}}
SEEN_BY_THE_TYPE_CHECKER_ALONE = "TYPE_CHECKING"
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
        if isinstance(node, ast.If) and SEEN_BY_THE_TYPE_CHECKER_ALONE in ast.dump(node.test):
            yield from imports_on_load(node.orelse)
            continue
        for name in names_of(node):
            yield name, node.lineno
        for field in ("body", "orelse", "finalbody"):
            yield from imports_on_load(getattr(node, field, []))
        for handler in getattr(node, "handlers", []):
            yield from imports_on_load(handler.body)


def imports_when_run(node: ast.AST) -> Iterator[str]:
    """Yield every module imported when the code of a file runs, in functions as well: not for the type checker alone.

    A name imported from a package may be a module of it: both are yielded, as ``package`` and ``package.name``.
    """
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and SEEN_BY_THE_TYPE_CHECKER_ALONE in ast.dump(child.test):
            for other in child.orelse:
                yield from imports_when_run(ast.Module([other], []))
            continue
        yield from names_of(child)
        if isinstance(child, ast.ImportFrom):
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        yield from imports_when_run(child)


def module_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def graph() -> dict[str, set[str]]:
    """Return for each module of ours the modules of ours that it imports."""
    files = {module_of(file): file for layer in MAY_IMPORT for file in files_of(layer)}
    found = {}
    for module, file in files.items():
        named = {name for name in imports_when_run(parsed(file)) if name in files}
        # `from package import module` names the module, and says nothing of the package itself.
        found[module] = named - {module} - {name for name in named if is_only_the_way(name, file, files)}
    return found


def is_only_the_way(package: str, file: Path, files: dict[str, Path]) -> bool:
    """Tell whether a file imports nothing but modules from a package."""
    asked = [
        f"{package}.{alias.name}" in files
        for node in ast.walk(parsed(file))
        if isinstance(node, ast.ImportFrom) and node.module == package
        for alias in node.names
    ]
    return bool(asked) and all(asked)


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Return the circles that a walk along the imports runs into, each once."""
    found: list[list[str]] = []
    done: set[str] = set()

    def walk(module: str, way: list[str]) -> None:
        if module in way:
            found.append([*way[way.index(module) :], module])
        elif module not in done:
            for other in sorted(edges.get(module, ())):
                walk(other, [*way, module])
            done.add(module)

    for module in sorted(edges):
        walk(module, [])
    return found


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


def test_no_modules_import_each_other_in_a_circle() -> None:
    edges = graph()
    assert "toolkit.bot.chatbot" in edges["toolkit.bot"]
    assert circles(edges) == []


def test_progress_is_defined_once() -> None:
    homes = [
        str(file.relative_to(ROOT))
        for layer in MAY_IMPORT
        for file in files_of(layer)
        for node in ast.walk(parsed(file))
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.ClassDef)
        and {"Progress", "Note"} & {getattr(target, "id", getattr(node, "name", "")) for target in targets_of(node)}
    ]
    assert homes == ["toolkit/progress.py"] * 2


def targets_of(node: ast.Assign | ast.AnnAssign | ast.ClassDef) -> list[ast.AST]:
    """Return what a statement gives a name to."""
    if isinstance(node, ast.Assign):
        return list(node.targets)
    return [node.target] if isinstance(node, ast.AnnAssign) else [node]


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


def test_the_reading_of_circles_sees_what_it_should() -> None:
    tree = ast.parse(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import a\nelse:\n    import b\n"
        "def f():\n    from c import d\n"
    )
    assert {"b", "c", "c.d"} <= set(imports_when_run(tree))
    assert "a" not in set(imports_when_run(tree))
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == [["b", "c", "b"]]
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []
