"""Imports point down only (DESIGN.md §3): in the modules' text and in what a running process has loaded."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("bridge", "export", "presets", "engine")

# Column "must never import" of the table in DESIGN.md §3.
FORBIDDEN = {
    "bridge": {"torch", "onnxruntime"},
    "export": {"bridge"},
    "presets": {"bridge", "torch"},
    "engine": {"bridge", "export", "presets"},
}
# What the audio process may have of the engine: it must stay small, to be killed and restarted at any time.
AUDIO_PROCESS_ENGINE = {"engine", "engine.ring", "engine.errors"}


def modules() -> Iterator[tuple[str, Path]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            dotted = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            yield dotted.removesuffix(".__init__"), path


def imports_of(source: str, module: str, *, is_package: bool) -> set[str]:
    """Absolute names of all modules that ``source`` imports, inside functions too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = module.split(".")
                above = above[: len(above) - node.level + int(is_package)]
                base = ".".join([*above, *([node.module] if node.module else [])])
            found.add(base)
            found.update(f"{base}.{alias.name}" for alias in node.names)
        elif is_dynamic_import(node):
            found.add(node.args[0].value)  # type: ignore[attr-defined]
    return found


def is_dynamic_import(node: ast.AST) -> bool:
    """``import_module("name")`` or ``__import__("name")`` with the name written out."""
    if not (isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return name in {"import_module", "__import__"} and isinstance(node.args[0].value, str)


def loaded_after(statement: str) -> set[str]:
    """Names in ``sys.modules`` of a fresh interpreter that ran ``statement``."""
    code = f"import sys, json\n{statement}\nprint('\\n' + json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"{statement!r} failed:\n{done.stderr}"
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_point_down_only(package: str) -> None:
    wrong = [
        f"{module} imports {name}"
        for module, path in modules()
        if module.split(".")[0] == package
        for name in sorted(imports_of(path.read_text(), module, is_package=path.name == "__init__.py"))
        if name.split(".")[0] in FORBIDDEN[package]
    ]
    assert wrong == []


def test_the_check_sees_every_way_to_import() -> None:
    source = """
import torch.nn
from onnxruntime import x
from ..b import c
from . import d
def f():
    import bridge.osc
    import_module("presets.schema")
"""
    found = imports_of(source, "engine.a.m", is_package=False)
    assert {"torch.nn", "onnxruntime", "engine.b.c", "engine.a.d", "bridge.osc", "presets.schema"} <= found
    assert "engine.a.sub.d" in imports_of("from .sub import d", "engine.a", is_package=True)


def test_no_bridge_module_loads_torch() -> None:
    names = [module for module, _ in modules() if module.split(".")[0] == "bridge"]
    names = [name for name in names if not name.startswith("bridge.daw.live.")]  # which run inside Live only
    assert "bridge.cli.root" in names
    loaded = loaded_after("\n".join(f"import {name}" for name in names))
    assert set(names) <= loaded
    assert loaded & {"torch", "onnxruntime"} == set()


@pytest.mark.parametrize(
    "package", ["presets", "engine", "engine.request", "engine.events", "engine.host.protocol"]
)
def test_what_the_bridge_uses_of_the_lower_layers_is_light(package: str) -> None:
    assert loaded_after(f"import {package}") & {"torch", "onnxruntime", "bridge"} == set()


def test_the_audio_process_loads_next_to_nothing() -> None:
    loaded = loaded_after("import bridge.audio.process")
    assert loaded & {"torch", "onnxruntime", "scipy", "pythonosc", "mido"} == set()
    assert {name for name in loaded if name.split(".")[0] == "engine"} <= AUDIO_PROCESS_ENGINE


def test_help_is_immediate_and_light() -> None:
    loaded = loaded_after(
        "from click.testing import CliRunner; from bridge.cli import segue\n"
        "assert CliRunner().invoke(segue, ['--help']).exit_code == 0"
    )
    assert loaded & {"torch", "numpy", "pydantic", "rich", "scipy", "sounddevice"} == set()


def test_no_circular_imports() -> None:
    """Depth-first search over the imports that run when a module is loaded (not those inside functions)."""
    files = dict(modules())
    graph = {
        module: {name for name in loaded_at_import(path, module) if name in files and name != module}
        for module, path in files.items()
    }
    finished: set[str] = set()
    trail: list[str] = []

    def visit(module: str) -> None:
        assert module not in trail, " -> ".join([*trail[trail.index(module) :], module])
        if module in finished:
            return
        trail.append(module)
        for name in sorted(graph[module]):
            visit(name)
        trail.pop()
        finished.add(module)

    for module in sorted(graph):
        visit(module)
    assert finished == set(files)


def loaded_at_import(path: Path, module: str) -> set[str]:
    """Modules imported by the top level of ``path``: not inside functions, not for type checkers only."""
    is_package = path.name == "__init__.py"
    found: set[str] = set()
    pending: list[ast.AST] = list(ast.parse(path.read_text()).body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.update(imports_of(ast.unparse(node), module, is_package=is_package))
        else:
            pending.extend(ast.iter_child_nodes(node))
    # `from . import sibling` names the package too, which is being loaded already.
    return found if is_package else found - {module.rpartition(".")[0]}
