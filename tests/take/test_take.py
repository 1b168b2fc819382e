"""Takes on disk: what is there after a normal end, a kill, a torn write, a full disk."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file
from scipy.signal import resample_poly

from engine.errors import BadFormat, Busy, DiskFull, NoFile, PathNotAllowed, SegueError
from engine.events import AudioChunk, PrimeEncoded, WindowDone
from engine.take import Take, TakeWriter, discard, recover
from engine.take.take import Metrics
from tests.take.growing import (
    FRAMES,
    HOPS,
    PRIME_FRAMES,
    RATE,
    WINDOWS,
    audio,
    codes,
    events,
    prime,
    prime_encoded,
    request,
)

FINAL = ["codes.safetensors", "continuation.wav", "prime.wav", "request.json", "take.json"]


def grow(root: Path, stop_after: int | None = None) -> TakeWriter:
    """A writer that has had the first ``stop_after`` events (all when None)."""
    writer = TakeWriter.create(root, request(), "hash", prime())
    for index, event in enumerate(events()):
        if index == stop_after:
            break
        writer.event(event)
    return writer


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def assert_whole(take: Take) -> None:
    """The take as the generator of events would have it, read by other means than the code under test."""
    assert names(take.folder) == FINAL
    pcm = soundfile.read(take.folder / "continuation.wav", dtype="int32")[0] >> 8
    assert np.array_equal(pcm, np.rint(audio(0, FRAMES).astype(np.float64) * 2**23))
    saved = load_file(take.folder / "codes.safetensors")
    for level, hop in HOPS.items():
        assert np.array_equal(saved[f"level_{level}"], codes(level, 0, (PRIME_FRAMES + FRAMES) // hop))
    assert json.loads((take.folder / "take.json").read_text())["state"] == "complete"


def test_a_finished_take(tmp_path: Path):
    take = grow(tmp_path / "takes").finish()
    assert_whole(take)
    info = Take.load(take.folder).info
    assert info == take.info and info.head.name == "A01" and take.folder.name.endswith("_A01")
    assert info.prime_tokens == {0: 3200, 1: 800, 2: 200}
    assert info.tokens == {0: 8576, 1: 2144, 2: 536}
    assert info.timings.tokens == {0: 5376, 1: 1344, 2: 336}
    assert info.timings.seconds == pytest.approx({0: 0.16, 1: 0.16, 2: 0.16})
    assert info.timings.prime_seconds == 0.25 and info.timings.runs == 1 and len(info.plan) == 3 * WINDOWS
    assert 0 < info.timings.first_audio_ms < 1000 * info.timings.total_seconds
    assert info.metrics.peak_dbfs == pytest.approx(-6.02, abs=0.01)
    assert info.metrics.rms_dbfs == pytest.approx(-9.03, abs=0.01) and info.metrics.clipped == 0
    assert_measured(info.metrics)
    assert np.array_equal(take.prime().samples[:, 0], audio(0, PRIME_FRAMES))
    assert json.loads((take.folder / "request.json").read_text())["request"]["seed"] == 3


def assert_measured(metrics: Metrics) -> None:
    """A sine of 0.5 at 351 Hz, where the K-weighting is flat to a tenth of a decibel, that goes on from its prime."""
    assert metrics.lufs == pytest.approx(-9.03 - 0.691, abs=0.15) and metrics.range_lu is None
    wave = resample_poly(audio(0, FRAMES).astype(np.float64), 4, 1, window=("kaiser", 14.0))
    peak = 20 * math.log10(np.abs(wave).max())  # above that of the sine, which ends all of a sudden
    assert metrics.true_peak_dbtp == pytest.approx(peak, abs=0.15) and peak > -5.5
    assert metrics.seam_jump_db is not None and metrics.seam_click_db is not None
    assert metrics.seam_jump_db < 0.1 and metrics.seam_click_db > 10  # the tone goes on, its phase jumps
    assert metrics.usual_jump_db is not None and metrics.usual_jump_db < 0.1
    assert metrics.window_jump_db is None  # this take does not say how long a token is


def test_metrics_of_earlier_versions_are_read(tmp_path: Path):
    take = grow(tmp_path).finish()
    record = json.loads((take.folder / "take.json").read_text())
    kept = {name: record["metrics"][name] for name in ("peak_dbfs", "rms_dbfs", "clipped")}
    (take.folder / "take.json").write_text(json.dumps({**record, "metrics": kept}))
    metrics = Take.load(take.folder).info.metrics
    assert metrics.peak_dbfs == take.info.metrics.peak_dbfs and metrics.lufs is None


def test_closing_a_take_loads_no_scipy(tmp_path: Path):
    script = (
        "import sys; from pathlib import Path; from tests.take.growing import *; sys.argv = ['', sys.argv[1], '-1'];"
        "main(); print('scipy' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False"]


def test_takes_are_numbered_and_never_overwritten(tmp_path: Path):
    folders = [grow(tmp_path).finish().folder for _ in range(3)]
    assert [folder.name.rsplit("_", 1)[1] for folder in folders] == ["A01", "A02", "A03"]


@pytest.mark.parametrize("windows", [1, 20, 47])
def test_killed_at_a_window_and_resumed(tmp_path: Path, windows: int):
    command = [sys.executable, "-m", "tests.take.growing", str(tmp_path), str(windows)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    folder = Path(child.stdout.readline().strip())
    with pytest.raises(Busy) as raised:
        TakeWriter.resume(folder)
    assert raised.value.message == (
        f"the take '{folder}' is being written by another process; wait until it ends"
    )
    child.kill()
    child.communicate()
    writer = TakeWriter.resume(folder)
    assert writer.windows == windows and writer.done is not None
    assert sum(done.size for done in writer.done.values()) > 4200
    for event in events():  # sampling may tell again what is known
        writer.event(event)
    take = writer.finish()
    assert_whole(take)
    assert take.info.timings.runs == 2 and len(take.info.plan) == 3 * WINDOWS


def test_resume_goes_on_with_what_is_done(tmp_path: Path):
    writer = grow(tmp_path, stop_after=1)  # the prime's codes only
    writer.close()
    resumed = TakeWriter.resume(writer.folder)
    assert resumed.done is not None and {n: c.size for n, c in resumed.done.items()} == {
        0: 3200,
        1: 800,
        2: 200,
    }
    resumed.close()
    nothing = grow(tmp_path, stop_after=0)
    nothing.close()
    assert TakeWriter.resume(nothing.folder).done is None


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 20_000), flip=st.one_of(st.none(), st.integers(0, 20_000)))
def test_whatever_is_torn_whole_windows_survive(tmp_path: Path, cut: int, flip: int | None):
    writer = grow(tmp_path, stop_after=20)
    writer.close()
    journal = writer.folder / "journal"
    data = bytearray(journal.read_bytes())
    del data[max(0, len(data) - cut) :]
    if flip is not None and data:
        data[-1 - flip % len(data)] ^= 0x40
    journal.write_bytes(bytes(data) + b"SGJ1 half a record")
    resumed = TakeWriter.resume(writer.folder)
    for level, done in (resumed.done or {}).items():
        assert np.array_equal(done, codes(level, 0, done.size))
    for event in events():
        resumed.event(event)
    assert_whole(resumed.finish())


def test_recover_keeps_every_finished_window(tmp_path: Path):
    writer = grow(tmp_path, stop_after=38)  # nine rounds of three windows and a chunk
    writer.close()
    take = recover(writer.folder)
    assert take.info.state == "partial" and take.wav.is_file()
    chunk = FRAMES // WINDOWS
    heard = soundfile.read(take.wav, dtype="float32")[0]
    assert heard.size == 9 * chunk
    assert np.allclose(heard, audio(0, heard.size), atol=2**-23)
    assert {n: c.size for n, c in take.codes().items()} == {
        level: (PRIME_FRAMES + 9 * chunk + (chunk if level == 2 else 0)) // hop for level, hop in HOPS.items()
    }
    again = TakeWriter.resume(take.folder)
    for event in events():
        again.event(event)
    complete = again.finish()
    assert_whole(complete)
    assert recover(complete.folder).info == complete.info


def test_recover_after_a_kill_and_before_any_audio(tmp_path: Path):
    command = [sys.executable, "-m", "tests.take.growing", str(tmp_path), "20"]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    folder = Path(child.stdout.readline().strip())
    child.kill()
    child.communicate()
    take = recover(folder)
    heard = take.audio().samples[:, 0]
    assert 6 * FRAMES // WINDOWS - RATE // 2 <= heard.size <= 6 * FRAMES // WINDOWS
    assert np.allclose(heard, audio(0, heard.size), atol=2**-23)
    silent = grow(tmp_path, stop_after=3)
    silent.close()
    assert recover(silent.folder).audio().frames == 0


def test_discard_removes_unfinished_takes_only(tmp_path: Path):
    finished, unfinished = grow(tmp_path).finish(), grow(tmp_path, stop_after=9)
    unfinished.close()
    discard(unfinished.folder)
    discard(finished.folder)
    assert [path.name for path in tmp_path.glob("2*")] == [finished.folder.name]
    assert_whole(finished)


def full_disk_message(path: Path) -> str:
    return (
        f"there is no room to write '{path}'; free some space or choose another takes folder, "
        "and the take can be resumed"
    )


def test_a_file_size_limit_keeps_the_windows_before_it(tmp_path: Path):
    writer = grow(tmp_path, stop_after=1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, limits[1]))
    try:
        with pytest.raises(DiskFull) as raised:
            for event in events():
                writer.event(event)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert raised.value.message == full_disk_message(writer.folder / "audio.part")
    assert writer.windows == 18  # the sixth chunk of 11 kB did not fit
    writer.close()
    resumed = TakeWriter.resume(writer.folder)
    assert resumed.windows == 18
    for event in events():
        resumed.event(event)
    assert_whole(resumed.finish())


def test_a_half_written_record_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    writer = grow(tmp_path, stop_after=10)
    size = (writer.folder / "journal").stat().st_size
    write = os.pwrite

    def fill_up(descriptor: int, data: memoryview, offset: int) -> int:
        if offset > size:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data[:10], offset)

    monkeypatch.setattr("engine.take.journal.os.pwrite", fill_up)
    window = list(events())[10]
    assert isinstance(window, WindowDone)
    with pytest.raises(DiskFull) as raised:
        writer.event(window)
    assert raised.value.message == full_disk_message(writer.folder / "journal")
    assert (writer.folder / "journal").stat().st_size == size
    monkeypatch.undo()
    for event in events():  # room was made: the same writer goes on
        writer.event(event)
    assert_whole(writer.finish())


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_small_disk(tmp_path: Path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(disk)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        writer = TakeWriter.create(disk, request(), "hash", prime())
        with pytest.raises(DiskFull), contextlib.closing(writer):
            for event in events():
                writer.event(event)
            writer.finish()
        folder = writer.folder
        assert recover_elsewhere(folder, tmp_path / "rescued").windows > 3
        subprocess.run(["mount", "-o", "remount,size=2m", str(disk)], check=True)
        resumed = TakeWriter.resume(folder)
        for event in events():
            resumed.event(event)
        assert_whole(resumed.finish())
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def recover_elsewhere(folder: Path, target: Path) -> TakeWriter:
    """The take of a full disk, copied to another and opened there."""
    subprocess.run(["cp", "-r", str(folder), str(target)], check=True)
    writer = TakeWriter.resume(target)
    writer.close()
    return writer


def test_a_root_that_cannot_be_used(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NoFile, match="cannot be written because its folder is missing or is a file"):
        TakeWriter.create(tmp_path / "file" / "takes", request(), "hash", prime())
    with pytest.raises(PathNotAllowed, match="may not be written; choose a folder that you may write to"):
        TakeWriter.create(
            Path("/proc/self/fd/takes") if os.geteuid() else Path("/sys/takes"), request(), "h", prime()
        )


def test_events_that_do_not_fit(tmp_path: Path):
    writer = grow(tmp_path, stop_after=1)
    with pytest.raises(
        BadFormat, match="tokens 200 to 300 of level 2 are missing; a take grows without gaps"
    ):
        writer.event(WindowDone(2, 0, 300, codes(2, 300, 5), 0.1))
    with pytest.raises(BadFormat, match="level 2 differs from what was sampled before from token 190 on"):
        writer.event(WindowDone(2, 0, 190, codes(2, 191, 50), 0.1))
    with pytest.raises(BadFormat, match="the prime's codes of level 0 differ"):
        writer.event(PrimeEncoded({**prime_encoded().codes, 0: codes(1, 0, 3200)}, 0.1))
    with pytest.raises(SegueError, match="audio from frame 100 arrived before frame 0; chunks come in order"):
        writer.event(AudioChunk(100, audio(100, 10)))
    with pytest.raises(SegueError, match="samples that are not numbers at frame 0; check the model"):
        writer.event(AudioChunk(0, np.full(10, math.nan, np.float32)))
    with pytest.raises(SegueError, match=f"sampling ended after 0 of {FRAMES} frames; resume the take"):
        writer.finish()


def test_folders_that_are_no_takes(tmp_path: Path):
    with pytest.raises(NoFile) as raised:
        Take.load(tmp_path)
    assert raised.value.message == f"'{tmp_path}' is not a take's folder: it holds no readable take.json"
    with pytest.raises(NoFile, match=r"holds no readable request\.json"):
        recover(tmp_path)
    take = grow(tmp_path).finish()
    with pytest.raises(BadFormat) as broken:
        (take.folder / "take.json").write_text("{}")
        Take.load(take.folder)
    assert broken.value.message == f"take.json in '{take.folder}' is broken at state: Field required"
    (take.folder / "codes.safetensors").write_bytes(b"nothing")
    with pytest.raises(BadFormat, match="holds no codes of a take"):
        take.codes()
    (take.folder / "codes.safetensors").unlink()
    with pytest.raises(NoFile, match=r"it holds no readable codes\.safetensors"):
        take.codes()


def test_a_changed_prime_is_not_gone_on_with(tmp_path: Path):
    writer = grow(tmp_path, stop_after=9)
    writer.close()
    soundfile.write(writer.folder / "prime.wav", audio(5, PRIME_FRAMES), RATE, subtype="FLOAT")
    with pytest.raises(
        BadFormat, match=r"prime\.wav in .* was changed; put the original back to resume the take"
    ):
        TakeWriter.resume(writer.folder)


def test_a_prime_that_is_told_level_by_level_costs_no_window(tmp_path: Path) -> None:
    """A take that was cut short knew its top level only; its successor is told all levels of the prime at once."""
    whole = prime_encoded()
    writer = TakeWriter.create(tmp_path, request(), "hash", prime())
    writer.event(PrimeEncoded({2: whole.codes[2]}, 0.1))
    count, start = 336 // WINDOWS, PRIME_FRAMES // HOPS[2]
    writer.event(WindowDone(2, 0, start, codes(2, start, count), 0.01))
    writer.close()
    again = TakeWriter.resume(writer.folder)
    assert again.done is not None and again.done[2].size == start + count
    again.event(whole)
    again.event(WindowDone(2, 1, start + count, codes(2, start + count, count), 0.01))
    again.close()
    last = TakeWriter.resume(writer.folder)
    assert last.done is not None and {level: array.size for level, array in last.done.items()} == {
        0: PRIME_FRAMES // 8,
        1: PRIME_FRAMES // 32,
        2: start + 2 * count,
    }
    last.close()
