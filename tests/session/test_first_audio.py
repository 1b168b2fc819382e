"""How long until the first sound: from the datagram that asks for it to frames in the ring, in the real processes.

Figures are printed (``pytest -s``); what is asserted is only that there is sound before the take is made.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import time
from pathlib import Path

import pytest
import soundfile

from bridge.supervision.engine_client import EngineSetup
from engine.errors import SegueError
from engine.ring import Ring
from presets import default_riff
from tests.bridge.client import OscClient, prime
from tests.bridge.conftest import StartSession, wait_idle

PRIME_SECONDS = 6.0
TAKE_SECONDS = 6.0
REPEATS = 3


def rings() -> set[str]:
    """Names of this process's rings."""
    return {path.name for path in Path("/dev/shm").glob(f"segue-{os.getpid()}-take*")}


def sound_after(begun: float, known: set[str], client: OscClient) -> float:
    """Seconds from ``begun`` until a ring that is not ``known`` holds frames; fails when the job ends first."""
    ring: Ring | None = None
    while time.perf_counter() - begun < 60.0:
        client.listen(0.001)
        assert not [heard for heard in client.heard if heard[0] == "/segue/take"]
        if ring is None and (new := rings() - known):
            with contextlib.suppress(SegueError):  # it is being made
                ring = Ring.attach(new.pop())
        if ring is not None and ring.written:
            ring.close()
            return time.perf_counter() - begun
    raise AssertionError("no sound within a minute")


def riff_of_its_own(folder: Path, number: int) -> Path:
    """Six seconds of the shipped riff that no engine has heard: begun a little later every time."""
    samples, rate = soundfile.read(default_riff(), dtype="float32")
    path = folder / f"riff{number}.wav"
    begin = 100 * number
    soundfile.write(path, samples[begin : begin + round(PRIME_SECONDS * rate)], rate)
    return path


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("backend", ["onnx", "torch"])
@pytest.mark.parametrize("fidelity", ["draft", "full"])
def test_the_first_sound(
    start_session: StartSession,
    tmp_path: Path,
    fidelity: str,
    backend: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    setup = EngineSetup(model="starter", options={"backend": backend})
    client = start_session(setup={"engine": setup}).client()
    wait_idle(client, timeout=120)
    client.send("/segue/notify", 1)
    client.send("/segue/param/fidelity", fidelity)
    measured: dict[str, list[float]] = {"known prime": [], "fresh prime": []}
    told: list[float] = []
    for number in range(REPEATS):
        for kind, times in measured.items():
            riff = riff_of_its_own(tmp_path, 2 * number + (kind == "fresh prime"))
            if kind == "known prime":
                prime(client, riff)
                time.sleep(2.0)  # a producer takes longer; the engine uses it
            known = rings()
            client.heard.clear()
            begun = time.perf_counter()
            if kind == "fresh prime":
                client.send("/segue/prime/file", str(riff))
            client.send("/segue/generate", TAKE_SECONDS)
            times.append(sound_after(begun, known, client))
            path = Path(client.wait("/segue/take", timeout=120)[8])
            timings = json.loads((path.parent / "take.json").read_text())["timings"]
            assert 0 < timings["first_audio_ms"] <= timings["first_final_ms"]
            told.append(timings["first_audio_ms"])
            client.send("/segue/panic")
            client.wait("/segue/sounding", timeout=60)
    client.close()
    with capsys.disabled():
        for kind, times in measured.items():
            shown = ", ".join(f"{1000 * value:.0f}" for value in times)
            middle = 1000 * statistics.median(times)
            print(f"\n{backend} {fidelity}, {kind}: first sound after {middle:.0f} ms ({shown})", end="")
        print(f"; of it in the engine: {', '.join(f'{value:.0f}' for value in told)} ms", end="")
