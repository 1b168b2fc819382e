"""In a process of its own: what is frozen stays so."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import gc, weakref
from bridge.garbage import search_less

class Knot:
    def __init__(self):
        self.own = self

search_less()
search_less()
assert len(gc.callbacks) == 1, gc.callbacks
kept = [[] for _ in range(5000)]
frozen = gc.get_freeze_count()
lost = weakref.ref(Knot())
gc.collect(1)
assert gc.get_freeze_count() < frozen + 5000  # a partial search leaves things as they are
gc.collect()
assert gc.get_freeze_count() >= frozen + 5000
assert len(gc.get_objects()) < 1000, len(gc.get_objects())  # all that the next search looks at
assert lost() is None
new = weakref.ref(Knot())
gc.collect()
assert new() is None  # what comes later is still found
"""


def test_a_whole_search_looks_at_what_came_since_the_last_one_and_still_finds_it() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
