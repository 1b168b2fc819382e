"""What a source holds, and what is compared with it."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import torch

from engine.store.fetch import RELEASED_FILES

FILES = RELEASED_FILES["1b_lyrics"]


def weights(seed: int, numbers: int = 100_000) -> bytes:
    """A real torch file of about 0.4 MB."""
    file = io.BytesIO()
    torch.save({"model": torch.randn(numbers, generator=torch.Generator().manual_seed(seed))}, file)
    return file.getvalue()


def sums(folder: Path) -> Path:
    """The list as coreutils' own sha256sum writes it."""
    names = [str(path.relative_to(folder)) for path in sorted(folder.rglob("*")) if path.is_file()]
    done = subprocess.run(["sha256sum", *names], cwd=folder, capture_output=True, text=True, check=True)
    (folder / "SHA256SUMS").write_text(done.stdout)
    return folder / "SHA256SUMS"


def same(source: Path, here: Path) -> bool:
    return all((here / name).read_bytes() == (source / name).read_bytes() for name in FILES)


def leftovers(here: Path) -> list[str]:
    return sorted(path.name for path in here.rglob("*") if path.suffix in (".part", ".tag"))
