"""The set-up scripts on machines that lack something: real bash, stand-ins for the commands that it calls."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BASH = shutil.which("bash")
BARE_TOOLS = ("cat", "dirname", "env", "grep", "mkdir", "rm", "uname", "chmod", "ln", "bash")

pytestmark = pytest.mark.skipif(
    BASH is None or sys.platform != "linux", reason="scripts/*.sh are tested on Linux"
)


class Machine:
    """A copy of the scripts beside a ``bin`` folder that is the whole search path."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.bin, self.log = folder, folder / "bin", folder / "log"
        shutil.copytree(ROOT / "scripts", folder / "scripts")
        for name in ("requirements.lock", "pyproject.toml"):
            shutil.copy(ROOT / name, folder / name)
        self.bin.mkdir()
        self.log.touch()
        for tool in BARE_TOOLS:
            path = shutil.which(tool)
            assert path is not None
            (self.bin / tool).symlink_to(path)

    def command(self, name: str, script: str, folder: Path | None = None) -> None:
        """A stand-in called ``name`` that logs its arguments and then runs ``script``."""
        path = (folder or self.bin) / name
        path.write_text(f'#!{BASH}\necho "{name} $*" >>"{self.log}"\n{script}\n')
        path.chmod(0o755)

    def user(self, number: int) -> None:
        self.command("id", f"echo {number}")

    def virtual_environment(self) -> None:
        """A .venv whose pip does nothing and whose other Python is the real one."""
        folder = self.folder / ".venv" / "bin"
        folder.mkdir(parents=True)
        self.command("python", f'[ "$2" = pip ] && exit 0\nexec "{sys.executable}" "$@"', folder)
        self.command("segue", 'echo "served with: $*"', folder)

    def run(self, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": str(self.bin), "HOME": str(self.folder)}
        assert BASH is not None
        return subprocess.run(
            [BASH, script, *arguments],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def logged(self, start: str) -> list[str]:
        return [line for line in self.log.read_text().splitlines() if line.startswith(start)]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_no_python_is_one_sentence(machine: Machine) -> None:
    machine.user(1000)
    machine.command("python3", "exit 1")  # too old
    machine.command("apt-get", "exit 0")
    done = machine.run("scripts/run")
    assert done.returncode == 1
    assert (
        "segue: please run as root: apt-get install -y --no-install-recommends python3 python3-venv"
        in done.stderr
    )
    assert done.stderr.splitlines()[-1] == (
        "segue: Segue needs Python 3.11 or newer with its venv module; "
        "install it, or name one in SEGUE_PYTHON"
    )
    assert machine.logged("apt-get") == []


def test_run_hands_its_arguments_to_serve(machine: Machine) -> None:
    machine.user(0)
    machine.virtual_environment()
    machine.command("apt-get", "exit 0")
    done = machine.run("scripts/run", "--once", "--port", "19999")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "served with: serve --once --port 19999\n"


def test_empty_package_lists_are_fetched(machine: Machine) -> None:
    """As on a fresh machine: the first try finds no package, the second one does."""
    machine.user(0)
    machine.virtual_environment()
    lists = machine.folder / "lists"
    machine.command("apt-get", f'[ "$1" = update ] && echo >"{lists}"\n[ -e "{lists}" ]')
    done = machine.run("scripts/test")
    first, update, second = machine.logged("apt-get")
    assert first == second
    assert first.startswith("apt-get install -y --no-install-recommends ")
    assert first.endswith("jackd2 liblo-tools sox ffmpeg espeak-ng lua5.4")
    assert update == "apt-get update -qq"
    assert "that failed" not in done.stderr


def test_without_rights_the_exact_command_is_said_and_segue_runs(machine: Machine) -> None:
    machine.user(1000)
    machine.virtual_environment()
    machine.command("apt-get", "exit 100")
    done = machine.run("scripts/test", "-k", "nothing")
    wanted = [line for line in done.stderr.splitlines() if line.startswith("segue: please run as root")]
    assert len(wanted) == 1
    assert wanted[0].endswith("jackd2 liblo-tools sox ffmpeg espeak-ng lua5.4")
    assert machine.logged("apt-get") == []
    assert machine.logged("python -m pytest") == ["python -m pytest -m not slow -k nothing"]


def test_all_selects_the_slow_tests_too(machine: Machine) -> None:
    machine.user(0)
    machine.virtual_environment()
    machine.command("apt-get", "exit 0")
    machine.run("scripts/test", "--all", "-x")
    assert machine.logged("python -m pytest") == ["python -m pytest -x"]


def test_the_second_time_installs_nothing_until_the_lock_changes(machine: Machine) -> None:
    machine.user(0)
    machine.virtual_environment()
    machine.command("apt-get", "exit 0")

    def installs() -> int:
        machine.log.write_text("")
        done = machine.run("scripts/run")
        assert done.returncode == 0, done.stderr
        return len(machine.logged("python -m pip install"))

    assert installs() == 2  # the locked packages, then Segue itself
    assert installs() == 0
    with (machine.folder / "requirements.lock").open("a") as lock:
        lock.write("# changed\n")
    assert installs() == 2
    assert installs() == 0


def test_a_failed_install_is_tried_again(machine: Machine) -> None:
    machine.user(0)
    machine.virtual_environment()
    machine.command("apt-get", "exit 0")
    python = machine.folder / ".venv" / "bin" / "python"
    works = python.read_text()
    python.write_text(works.replace('[ "$2" = pip ] && exit 0', '[ "$2" = pip ] && exit 1'))
    assert machine.run("scripts/run").returncode != 0
    python.write_text(works)
    machine.log.write_text("")
    assert machine.run("scripts/run").returncode == 0
    assert len(machine.logged("python -m pip install")) == 2


@pytest.mark.parametrize("name", ["scripts/run", "scripts/test", "scripts/lock", ".ci/run"])
def test_scripts_can_be_started(name: str) -> None:
    assert os.access(ROOT / name, os.X_OK)
    assert BASH is not None
    subprocess.run([BASH, "-n", str(ROOT / name)], check=True)
