"""The tables of every released tensor, as lists beside the tests."""

from __future__ import annotations

import gzip
from pathlib import Path

Table = dict[str, tuple[int, ...]]
KEYS = Path(__file__).parent / "keys"


def released_table(name: str) -> Table:
    """Shape by tensor name of one released file, or of a whole Hugging Face model."""
    table: Table = {}
    for line in gzip.decompress((KEYS / f"{name}.tsv.gz").read_bytes()).decode().splitlines():
        key, _, rest = line.partition("\t")
        if rest:
            shape = rest.split("\t")[0].strip("()")
            table[key] = tuple(int(n) for n in shape.split(",") if n.strip())
    return table
