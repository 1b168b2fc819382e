"""The house's order: what lies where, how long files and functions may be, what must not be in the tree."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# DESIGN.md §3: fixed, apart from dot files, a licence and the lock file.
TOP_LEVEL = {"pyproject.toml", "README.md", "bridge", "engine", "export", "presets", "tests", "scripts"}
BESIDES = {"LICENSE", "requirements.lock"}
MAX_FILE_LINES, MAX_FUNCTION_LINES = 400, 70
MODEL_LIMIT_BYTES = 48_000_000
CHECKPOINT_LIMIT_BYTES = 16 * 2**20
BINARY = {".png", ".wav", ".flac", ".safetensors", ".mid", ".gz", ".onnx", ".npz"}


def tracked() -> list[Path]:
    """Files under version control that are there."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [path for name in listing.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_top_level_is_as_designed() -> None:
    names = {path.relative_to(ROOT).parts[0] for path in tracked()}
    visible = {name for name in names if not name.startswith(".")}
    assert visible == TOP_LEVEL | BESIDES


def test_no_file_is_too_long() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for path in tracked()
        if path.suffix == ".py"
    }
    assert {name: length for name, length in lengths.items() if length > MAX_FILE_LINES} == {}


def test_no_function_is_too_long() -> None:
    long = {}
    for path in tracked():
        if path.suffix != ".py":
            continue
        for function in functions(ast.parse(path.read_text())):
            length = (function.end_lineno or function.lineno) - function.lineno + 1
            if length > MAX_FUNCTION_LINES:
                long[f"{path.relative_to(ROOT)}:{function.name}"] = length
    assert long == {}


def test_no_module_is_called_utils() -> None:
    assert [str(path) for path in tracked() if path.stem in {"util", "utils", "helpers", "misc"}] == []


def test_nothing_names_a_machine() -> None:
    # Written in pieces, so that this file does not find itself.
    folders = "|".join(("work", "root", "opt", "mnt"))
    pattern = re.compile(rf"(?<![\w.<>:*])/(?:{folders})/\w|/home/(?!me/)[a-z]\w+/|C:\\Users\\\w")
    found = []
    for path in tracked():
        if path.suffix in BINARY:
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if pattern.search(line) and path != Path(__file__):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert found == []


@pytest.mark.parametrize(
    "name", ["requirements.lock", "pyproject.toml", "scripts/setup.sh", "scripts/lock", ".ci/run"]
)
def test_installing_names_no_registry(name: str) -> None:
    assert re.findall(r"https?://\S+|--(?:extra-)?index-url|--hash", (ROOT / name).read_text()) == []


def test_lock_is_exact_and_covers_the_dependencies() -> None:
    lines = [line.split("#")[0].strip() for line in (ROOT / "requirements.lock").read_text().splitlines()]
    pins = dict(line.split("==") for line in lines if line)
    assert pins["torch"] == "2.13.0"
    assert all(re.fullmatch(r"[0-9][0-9a-z.]*", version) for version in pins.values()), pins
    # What torch's CUDA builds want is theirs to name: pinned here, a machine without a GPU would download it.
    assert [name for name in pins if name.startswith(("nvidia-", "cuda-", "triton"))] == []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["train"], *extras["test"]]
    for requirement in wanted:
        match = re.fullmatch(r"([A-Za-z0-9-]+)>=([0-9.]+)", requirement)
        assert match, f"{requirement} has no lower bound"
        pinned = pins[match[1].lower()]
        assert as_numbers(pinned) >= as_numbers(match[2]), f"{requirement} but {pinned} is locked"


def as_numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def test_shipped_models_are_small_enough() -> None:
    models = ROOT / "engine" / "models"
    for folder in models.iterdir() if models.is_dir() else ():
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        assert size <= MODEL_LIMIT_BYTES, f"{folder.name} has {size} bytes"
    too_large = [
        str(p) for p in tracked() if p.stat().st_size > CHECKPOINT_LIMIT_BYTES and models not in p.parents
    ]
    assert too_large == []
