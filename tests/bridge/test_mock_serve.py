"""`segue serve --mock`: the command that plugin authors start."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from bridge.cli import segue
from presets import default_riff
from tests.bridge.client import OscClient, prime
from tests.bridge.conftest import wait_idle


def test_it_serves_the_whole_protocol_without_a_runtime(tmp_path: Path) -> None:
    diary = tmp_path / "diary.jsonl"
    command = [sys.executable, "-c", "from bridge.cli import main; main()", "serve", "--mock", "--port", "0"]
    command += ["--query-port", "none", "--device", "none", "--takes", str(tmp_path / "takes")]
    command += ["--mock-with", "speed=20", "--mock-with", f"diary={diary}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        port = next(
            int(found[1]) for line in process.stdout if (found := re.search(r"127\.0\.0\.1:(\d+)", line))
        )
        client = OscClient(port)
        wait_idle(client)
        for child in psutil.Process(process.pid).children(recursive=True):
            mapped = Path(f"/proc/{child.pid}/maps").read_text()
            assert "libtorch" not in mapped and "onnxruntime" not in mapped
        client.send("/segue/notify", 1)
        prime(client, default_riff())
        client.send("/segue/generate", 1.0)
        take = Path(client.wait("/segue/take")[8]).parent
        assert {"take.json", "codes.safetensors", "continuation.wav", "prime.wav"} <= {
            p.name for p in take.iterdir()
        }
        client.wait("/segue/job", "J1", "done")
        client.send("/segue/lyrics", "mock: fail disk_full at 0.5")
        client.send("/segue/generate", 1.0)
        client.wait("/segue/job", "J2", "failed")
        assert client.wait("/segue/fail", "/segue/generate")[1:3] == (507, "disk_full")
        client.send("/segue/quit")
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.communicate()
    kinds = [json.loads(line).get("kind") for line in diary.read_text().splitlines()]
    assert kinds.count("generate") == 2 and kinds.count("job_failed") == 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            ["--mock", "--mock-with", "sped=8"],
            "the mock engine has no option 'sped'; it has speed, load_seconds, ",
        ),
        (
            ["--mock", "--mock-with", "speed=0"],
            "--mock-with speed is '0'; it must be greater than or equal to 0.05",
        ),
        (["--mock-with", "speed=8"], "--mock-with is for the mock engine; give --mock too"),
        (["--mock", "--model", "starter"], "there is no model 'starter'; the mock engine has mock, mock-2, "),
    ],
)
def test_what_it_does_not_know_is_one_sentence(tmp_path: Path, options: list[str], sentence: str) -> None:
    fixed = ["serve", "--port", "0", "--query-port", "none", "--device", "none", "--takes", str(tmp_path)]
    result = CliRunner().invoke(segue, [*fixed, *options])
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith(f"segue: {sentence}")
