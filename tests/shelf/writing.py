"""Makes takes without end, marks some and throws some away, in processes that are forked to be killed.

Prints how many seconds a take takes. Then it reads lines of stdin: for each a child is forked, whose id is printed. A
child that has announced a take prints it.
"""

from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path

from engine.shelf.changing import bring_back, change_marks, throw_away
from engine.shelf.index import Index
from tests.take.test_take import grow


def work(root: Path, seed: int) -> None:
    """A child's life."""
    chance, index = random.Random(seed), Index(root)
    while True:
        folder = grow(root).finish().folder.name
        os.write(1, f"announced {folder}\n".encode())
        change_marks(index, folder, rating=chance.randint(1, 5), name=f"Strophe {chance.random():.6f} é")
        if chance.random() < 0.3:
            throw_away(index, folder)
            if chance.random() < 0.5:
                bring_back(index, folder)


def main() -> None:
    root = Path(sys.argv[1])
    grow(root).finish()  # so that everything is loaded
    began = time.perf_counter()
    grow(root).finish()
    os.write(1, f"{time.perf_counter() - began}\n".encode())
    for seed, _ in enumerate(sys.stdin):
        child = os.fork()
        if child == 0:
            work(root, seed)
        os.write(1, f"child {child}\n".encode())
        os.waitpid(child, 0)
        os.write(1, b"dead\n")


if __name__ == "__main__":
    main()
