"""The real engine process (with a tiny random model) behind the real bridge, and the command line around it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile as sf
from click.testing import CliRunner, Result

from bridge.cli import segue
from bridge.supervision.engine_client import EngineSetup
from tests.bridge.client import OscClient, prime
from tests.bridge.conftest import StartSession, wait_idle
from tests.bridge.test_supervision import engine_pid, progress_beyond
from tests.host.tiny import make_tiny_model, write_riff


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def plucks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds, stereo, 48 kHz, 16 bit; its name says 240 bpm."""
    return write_riff(tmp_path_factory.mktemp("riff") / "plucks_240bpm.wav", 3.0, 48_000, 2)


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(segue, [str(argument) for argument in arguments])


def continued(tiny: Path, riff: Path, out: Path, *more: object) -> dict:
    result = invoke("continue", riff, "--model", tiny, "--out", out, "--json", *more)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


# -- segue continue ----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_continue_reports_every_take(tiny: Path, plucks: Path, tmp_path: Path):
    asked = ("--bars", 1, "--takes", 2, "--seed", 5, "--style", "house", "--plots")
    report = continued(tiny, plucks, tmp_path, *asked)
    assert (report["bpm"], report["bars"]) == (
        240.0,
        1.0,
    )  # four beats of a quarter of a second; the tempo from the name
    assert [take["seed"] for take in report["takes"]] == [5, 6]
    for take in report["takes"]:
        info = sf.info(take["path"])
        assert (info.frames, info.samplerate, info.subtype) == (44_100, 44_100, "PCM_24")
        assert take["seconds"] == 1.0 and take["first_audio_ms"] > 0 and take["real_time_factor"] > 0
        tokens = {int(level): count for level, count in take["tokens"].items()}
        # hops 128, 32 and 8: one second is at least so many tokens, and at most a window of 64 tokens more
        assert all(
            44_100 / hop <= tokens[level] <= 44_100 / hop + 64 * 128 / hop
            for level, hop in ((2, 128), (1, 32), (0, 8))
        )
        assert set(take["seconds_per_level"]) == {"0", "1", "2"}
        picture = Path(take["picture"])
        assert picture.parent == Path(take["path"]).parent
        assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_same_seed_same_samples_whatever_the_chunk_and_another_seed_another_take(
    tiny: Path, plucks: Path, tmp_path: Path
):
    runs = [("3", 4096), ("3", 4096), ("3", 777), ("4", 4096)]
    paths = [
        continued(tiny, plucks, tmp_path, "--seconds", 0.4, "--seed", seed, "--chunk", chunk)["takes"][0][
            "path"
        ]
        for seed, chunk in runs
    ]
    first, again, chunked, other = (sf.read(path, dtype="int32")[0] for path in paths)
    assert np.array_equal(first, again) and np.array_equal(first, chunked)
    assert not np.array_equal(first, other)


def test_without_json_a_line_per_take_is_printed(tiny: Path, plucks: Path, tmp_path: Path):
    result = invoke(
        "continue", plucks, "--model", tiny, "--out", tmp_path, "--seconds", 0.2, "--fidelity", "draft"
    )
    assert result.exit_code == 0
    assert re.search(
        r"continuation\.wav  0\.20 s, seed \d+, first audio after \d+ ms, [\d.]+ x real time", result.stdout
    )


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--seed", "-1"], "--seed is -1; it must be from 0 to 2147483647"),
        (["--seconds", "0"], "--seconds is 0; it must be above 0"),
        (["--seconds", "6000"], "the length is 6000 s; it must be above 0 and at most 600 s"),
        (
            ["--bars", "4000", "--bpm", "120"],
            "4000 bars at 120 bpm last 8000 s; at most 600 s (300 bars) can be made",
        ),
        (["--bars", "nan"], "--bars is nan; it must be above 0"),
        (["--bars", "4", "--seconds", "2"], "--bars and --seconds exclude each other; give one of them"),
        (["--bpm", "1000"], "--bpm is 1000; it must be from 20 to 400"),
        (["--takes", "0"], "--takes is 0; it must be from 1 to 16"),
        (["--chunk", "1"], "--chunk is 1; it must be from 64 to 1048576 frames"),
        (["--fidelity", "best"], "--fidelity is 'best'; it must be draft, fine or full"),
        (["--start", "-1"], "the start is -1 s; it must be 0 or more"),
        (["--length", "0"], "the length of the prime is 0 s; it must be above 0"),
        (["--style", "hause"], "style 'hause' is unknown; did you mean 'house'?"),
        (["--model", "nowhere"], "there is no model 'nowhere'"),
    ],
)
def test_bad_options_are_one_sentence_and_exit_code_two(
    tiny: Path, plucks: Path, tmp_path: Path, options: list[str], sentence: str
):
    arguments = ["continue", plucks, "--out", tmp_path / "takes", *options]
    result = invoke(*arguments, *(() if "--model" in options else ("--model", tiny)))
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith(f"segue: {sentence}")
    assert not (tmp_path / "takes").exists()


def test_a_riff_that_is_not_there(tiny: Path, tmp_path: Path):
    result = invoke("continue", tmp_path / "riff.wav", "--model", tiny)
    assert (result.exit_code, result.stderr) == (
        2,
        f"segue: there is no file '{tmp_path}/riff.wav'; check the path\n",
    )


# -- segue serve -------------------------------------------------------------------------------------------------


def serve(tiny: Path, takes: Path, *more: object) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-c",
        "from bridge.cli import main; main()",
        "serve",
        "--port",
        "0",
        "--model",
        str(tiny),
        "--takes",
        str(takes),
    ]
    return subprocess.Popen(
        [*command, *map(str, more)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_once_makes_plays_and_files_a_take(tiny: Path, plucks: Path, tmp_path: Path):
    sink = tmp_path / "heard.wav"
    process = serve(tiny, tmp_path / "takes", "--once", "--riff", plucks, "--device", f"file:{sink}")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    take = Path(re.findall(r"^take: (.*)$", out, re.MULTILINE)[0])
    samples, _ = sf.read(take, dtype="float32")
    assert samples.size == 4 * 44_100  # 16 beats at 240 bpm
    heard, _ = sf.read(sink, dtype="float32")
    assert f"sound is written to {sink}" in out
    told = re.search(r"is heard as (.*)$", err, re.MULTILINE)
    assert told is not None
    seconds = {int(level): float(s) for s, level in re.findall(r"([\d.]+) s of level (\d)", told[1])}
    assert sum(seconds.values()) == pytest.approx(4.0, abs=0.15)  # each is rounded to a tenth
    end = int(np.flatnonzero(heard)[-1]) - int(np.flatnonzero(samples)[-1]) + samples.size
    same = heard[end - samples.size : end] == samples  # where the draft was not heard in its place
    assert np.count_nonzero(same) >= 44_100 * max(0.0, seconds.get(0, 0.0) - 0.1)


@pytest.mark.slow
def test_once_fails_with_the_sentence_of_the_engine(tiny: Path, tmp_path: Path):
    silence = tmp_path / "silence.wav"
    sf.write(silence, np.zeros(44_100), 44_100)
    process = serve(tiny, tmp_path / "takes", "--once", "--riff", silence, "--device", "none")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "is silent (its peak is below -70 dBFS)" in err.splitlines()[-1] and err.splitlines()[
        -1
    ].startswith("segue: ")


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_signal_ends_everything_and_the_bridge_has_no_torch(
    tiny: Path, tmp_path: Path, number: signal.Signals
):
    process = serve(tiny, tmp_path / "takes", "--device", "none")
    assert process.stdout is not None
    port = next(int(found[1]) for line in process.stdout if (found := re.search(r"127\.0\.0\.1:(\d+)", line)))
    client = OscClient(port)
    wait_idle(client)
    children = psutil.Process(process.pid).children(recursive=True)
    mapped = Path(f"/proc/{process.pid}/maps").read_text()
    assert "libpython" in mapped or "python" in mapped
    assert "libtorch" not in mapped and "onnxruntime" not in mapped
    assert any("libtorch" in Path(f"/proc/{child.pid}/maps").read_text() for child in children)
    process.send_signal(number)
    assert process.wait(timeout=20) == 0
    assert psutil.wait_procs(children, timeout=10)[1] == []
    assert not list(Path("/dev/shm").glob(f"segue-{process.pid}-*"))
    client.close()


@pytest.mark.slow
def test_a_second_ctrl_c_kills_at_once(tiny: Path, tmp_path: Path):
    process = serve(tiny, tmp_path / "takes", "--device", "none")
    assert process.stdout is not None
    next(line for line in process.stdout if "Ctrl-C" in line)
    children = psutil.Process(process.pid).children(recursive=True)
    engine = next(child for child in children if "libtorch" in Path(f"/proc/{child.pid}/maps").read_text())
    engine.suspend()  # it cannot answer, so an orderly end would take its two seconds
    process.send_signal(signal.SIGINT)
    next(line for line in process.stdout if "Ctrl-C again to kill" in line)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 130
    assert psutil.wait_procs(children, timeout=10)[1] == []


def test_a_killed_bridge_leaves_no_process(tiny: Path, tmp_path: Path):
    process = serve(tiny, tmp_path / "takes", "--device", "none")
    assert process.stdout is not None
    next(line for line in process.stdout if "127.0.0.1:" in line)
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) >= 2
    process.kill()
    process.wait(timeout=10)
    gone, alive = psutil.wait_procs(children, timeout=10)
    assert not alive and gone


def test_serve_refuses_a_taken_port_and_an_absent_device(tiny: Path, tmp_path: Path):
    holder = serve(tiny, tmp_path / "takes", "--device", "none")
    assert holder.stdout is not None
    port = next(found[1] for line in holder.stdout if (found := re.search(r"127\.0\.0\.1:(\d+)", line)))
    try:
        result = invoke("serve", "--port", port, "--model", tiny, "--takes", tmp_path)
        assert result.exit_code == 2
        assert (
            f"segue: port {port} is in use, perhaps by another Segue; quit it or use --port" in result.stderr
        )
    finally:
        holder.terminate()
        holder.communicate(timeout=20)
    result = invoke("serve", "--port", 0, "--model", tiny, "--takes", tmp_path, "--device", "Moog")
    assert result.exit_code == 2 and "Moog" in result.stderr.splitlines()[-1]
    result = invoke("serve", "--port", 0, "--model", "nowhere", "--takes", tmp_path, "--device", "none")
    assert result.exit_code == 2 and "there is no model 'nowhere'" in result.stderr
    result = invoke("serve", "--port", 70000)
    assert (result.exit_code, result.stderr) == (
        2,
        "segue: the port is 70000; it must be from 1 to 65535, or 0 for a free one\n",
    )


# -- the engine is killed ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_take_of_a_killed_engine_equals_an_undisturbed_one(
    start_session: StartSession, tiny: Path, plucks: Path, tmp_path: Path
):
    calm = continued(tiny, plucks, tmp_path / "calm", "--seconds", 2.0, "--seed", 77)["takes"][0]["path"]
    running = start_session(setup={"engine": EngineSetup(model=str(tiny))})
    client = running.client()
    wait_idle(client, timeout=60)
    client.send("/segue/notify", 1)
    prime(client, plucks)
    client.send("/segue/param/seed", 77)
    client.send("/segue/generate", 2.0)
    progress_beyond(client, "J1", 0.3)
    os.kill(engine_pid(running), signal.SIGKILL)
    assert "the engine died (signal 9)" in client.wait("/segue/error")[0]
    path = client.wait("/segue/take", timeout=60)[8]
    client.wait("/segue/job", "J1", "done")
    assert np.array_equal(sf.read(path, dtype="int32")[0], sf.read(calm, dtype="int32")[0])
    assert json.loads((Path(path).parent / "take.json").read_text())["timings"]["runs"] == 2
