"""`segue-prime`: what a DAW with an external editor is told to open clips with."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile as sf
from click.testing import CliRunner

from bridge.cli.prime import file_of, main
from engine.errors import BadArguments, NoFile
from tests.bridge.client import OscClient
from tests.bridge.conftest import RunningSession


def ran(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, words)
    return done.exit_code, done.output


def test_a_running_session_is_primed_and_the_file_left_as_it_is(
    client: OscClient, session: RunningSession, riff: Path, tmp_path: Path
) -> None:
    clip = tmp_path / "clips" / "my riff ♪.wav"
    clip.parent.mkdir()
    shutil.copy(riff, clip)
    clip.chmod(0o444)
    before = clip.read_bytes(), clip.stat().st_mtime_ns, sorted(os.listdir(clip.parent))
    port = str(session.port)
    code, told = ran("--port", port, "--start", "0.5", "--length", "1", "--bpm", "98", str(clip))
    assert (code, told) == (0, "my riff ♪.wav is Segue's prime now (P1, 1.00 s)\n")
    prime = client.wait("/segue/prime", "P1")
    assert (prime[1], prime[2], prime[3]) == (pytest.approx(1.0, abs=0.01), 98.0, clip.name)

    client.send("/segue/param/seconds", 0.5)
    code, told = ran("--port", port, "--generate", str(clip))
    assert (code, told) == (
        0,
        "my riff ♪.wav is Segue's prime now (P2, 2.00 s) and is being continued (J1)\n",
    )
    assert sf.info(client.wait("/segue/take", timeout=30.0)[8]).frames > 0
    assert (clip.read_bytes(), clip.stat().st_mtime_ns, sorted(os.listdir(clip.parent))) == before


def test_what_the_session_refuses_is_told(client: OscClient, session: RunningSession, tmp_path: Path) -> None:
    short = tmp_path / "refused.wav"
    sf.write(short, [0.0] * 96_000, 48_000)
    code, told = ran("--port", str(session.port), str(short))
    assert code == 2 and told.startswith("segue: ") and told.count("\n") == 1


def test_without_a_session_it_says_how_to_start_one(riff: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        command = [
            sys.executable,
            "-c",
            "from bridge.cli.prime import main; main()",
            "--port",
            str(port),
            str(riff),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == f"segue: no Segue runs at 127.0.0.1:{port}; start it with: segue serve\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("no.wav",), "there is no file 'no.wav'; give the path of an audio file"),
        ((".",), "'.' is a folder; give an audio file"),
        (("--start", "-1", "pyproject.toml"), "--start is -1 s; it must be from 0 to 1000000"),
        (("--bpm", "5", "pyproject.toml"), "--bpm is 5; it must be from 20 to 400"),
    ],
)
def test_bad_arguments_are_one_sentence(words: tuple[str, ...], sentence: str) -> None:
    assert ran(*words) == (2, f"segue: {sentence}\n")


def test_odd_quoting_of_hosts_is_understood(tmp_path: Path) -> None:
    clip = tmp_path / "one two  three.wav"
    clip.write_bytes(b"RIFF")
    path = str(clip)
    assert file_of((path,)) == clip
    assert file_of((f'"{path}"',)) == clip
    assert file_of((f"'{path}' ",)) == clip
    assert file_of((clip.as_uri(),)) == clip
    single = tmp_path / "a b c.wav"
    single.write_bytes(b"RIFF")
    assert file_of(tuple(str(single).split(" "))) == single
    assert file_of(tuple(f'"{single}"'.split(" "))) == single
    with pytest.raises(BadArguments, match="takes one file, not 2"):
        file_of((path, str(single)))
    with pytest.raises(NoFile):
        file_of(("",))
