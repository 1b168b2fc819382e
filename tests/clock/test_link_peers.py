"""Ableton Link between two real peers, in a network namespace of their own: nobody else's session is joined."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.clock.link import link_is_there

ROOT = Path(__file__).resolve().parents[2]
ALONE = "ip link set lo up && ip link set lo multicast on && ip route add 224.0.0.0/4 dev lo && exec "
MET = ("met", "tempo_followed", "tempo_told", "stands", "started", "stopped", "left", "session_follows")


def need_a_network_of_our_own() -> None:
    if not link_is_there():
        pytest.skip("needs the extra link (pip install LinkPython-extern)")
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("needs unshare (util-linux) and ip (iproute2)")
    tried = subprocess.run(["unshare", "-rn", "sh", "-c", ALONE + "true"], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"this machine lets nobody have a network of his own: {tried.stderr.strip()}")


@pytest.mark.timeout(180)
def test_two_peers_agree_on_tempo_bar_and_start() -> None:
    need_a_network_of_our_own()
    command = f"{ALONE} {sys.executable} -m tests.clock.link_meeting"
    done = subprocess.run(
        ["unshare", "-rn", "sh", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=170
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert {name for name in MET if not seen[name]} == set(), seen
    assert seen["phase_apart_ms"] < 3.0
    assert 0 < seen["ahead_ms"] <= 2_600  # a bar at 96 bpm
    assert seen["downbeat_apart_ms"] < 3.0
