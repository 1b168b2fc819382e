"""Where models lie: those shipped with the program, and those that the user imported."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import Literal

import platformdirs

from engine.errors import BadArguments, NoModel

SHIPPED = Path(__file__).resolve().parent.parent / "models"
CONFIG_FILE = "model.json"
Precision = Literal["fp32", "fp16", "bf16", "int8"]  # what models can be loaded as
PRECISIONS: dict[str, Precision] = {"fp32": "fp32", "fp16": "fp16", "bf16": "bf16", "int8": "int8"}
INT8 = "int8"  # of graphs (engine/backends/onnx_weights.py) or of torch's matrices (engine/prior/int8.py)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def models_home() -> Path:
    """Folder of imported models: ``SEGUE_MODELS`` where that is set, else in the user's data folder."""
    named = os.environ.get("SEGUE_MODELS")
    return (
        Path(named).expanduser()
        if named
        else platformdirs.user_data_path("segue", appauthor=False) / "models"
    )


def known_models() -> dict[str, Path]:
    """Folder by name of every shipped and imported model; a shipped one wins over an imported one of its name."""
    found: dict[str, Path] = {}
    for home in (models_home(), SHIPPED):
        folders = (config.parent for config in home.glob(f"*/{CONFIG_FILE}"))
        found |= {folder.name: folder for folder in folders if not folder.name.startswith(".")}
    return dict(sorted(found.items()))


def named_precision(name: str | Path) -> tuple[str, str | None]:
    """A model's name or folder without what stands behind its ``@``, and that: fp32, fp16, bf16, int8, or None."""
    bare, _, suffix = str(name).rpartition("@")
    return (bare, suffix) if bare and suffix in (*PRECISIONS, INT8) else (str(name), None)


def split_precision(name: str | Path) -> tuple[str, Precision]:
    """A model's name or folder without its precision, and the type that torch holds it in (default fp32).

    It is part of the name, since it decides which tokens a request gives.
    """
    bare, suffix = named_precision(name)
    return bare, PRECISIONS.get(suffix or "", "fp32")


def model_folder(name: str | Path) -> Path:
    """Folder of a shipped or imported model by name, or the given folder; a precision behind ``@`` does not matter.

    Raises NoModel with the known names.
    """
    name, _ = split_precision(name)
    known = known_models()
    if name in known:
        return known[name]
    with contextlib.suppress(OSError, RuntimeError):  # (names that no file and no user can have)
        folder = Path(name).expanduser()
        if (folder / CONFIG_FILE).is_file():
            return folder
    raise NoModel(
        f"there is no model '{name}'; give one that is here ({', '.join(known) or 'none yet'}) or a folder that "
        f"holds {CONFIG_FILE}"
    )


def new_model_folder(name: str, home: Path | None = None) -> Path:
    """Where a new model of this name goes. Raises BadArguments for a name that is taken or is no folder's name."""
    if not _NAME.fullmatch(name):
        raise BadArguments(
            f"'{name}' cannot be a model's name; use up to 64 letters, digits, '.', '_' and '-', a letter first"
        )
    folder = (home or models_home()) / name
    taken = folder if folder.exists() else SHIPPED / name
    if taken.exists():
        raise BadArguments(f"there is a model '{name}' already in {taken}; choose another name with --name")
    return folder
