"""A real session on a sound server: parts of it are killed while it plays, and left alone; the scripts measure."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rig.jack import need_jack

ROOT = Path(__file__).resolve().parents[2]
KILLS = 10


def measured(script: str, *arguments: object, seconds: float) -> tuple[int, dict]:
    need_jack()
    command = [sys.executable, str(ROOT / "scripts" / script), "--json", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds)
    assert done.stdout.startswith("{"), done.stderr[-2000:]
    return done.returncode, json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.timeout(420)
def test_whatever_is_killed_sound_comes_back_and_nothing_is_lost(tmp_path: Path) -> None:
    _, figures = measured("kills.py", "--times", KILLS, "--seed", 6, "--out", tmp_path, seconds=400)
    kills = figures["kills"]
    assert {kill["target"] for kill in kills} == {"engine", "audio", "server"} and len(kills) == KILLS
    assert [kill["problems"] for kill in kills] == [
        []
    ] * KILLS  # replaced, the job came on, no zombie, no window lost
    # 3 s by itself (scripts/kills, 100 kills); tests share the machine
    assert max(kill["silence"] for kill in kills) < 6.0
    assert sum(kill["windows"] for kill in kills) > 0  # there was something to lose
    for nothing in ("lost_windows", "different_takes", "failures", "left_processes", "left_rings"):
        assert figures[nothing] == [], nothing
    assert figures["takes"] >= 3


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_session_that_is_left_alone_costs_next_to_nothing() -> None:
    _, figures = measured("idle.py", "--seconds", 15, seconds=150)
    by_part: dict[str, float] = {}
    for name, percent in figures["threads"].items():
        part = name.partition("/")[0]
        by_part[part] = by_part.get(part, 0.0) + percent
    print(by_part)
    # 2 % of a core by itself (scripts/idle); a busy machine makes the same work take longer
    assert figures["percent"] < 4.0, by_part
