"""The page of addresses and the commands about them."""

from __future__ import annotations

import re
import socket
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

from bridge.cli import segue
from bridge.osc.addresses import SUBJECTS, TABLE
from bridge.osc.docs import page
from tests.bridge.conftest import StartSession

PAGE = Path(__file__).resolve().parents[2] / "bridge" / "osc" / "ADDRESSES.md"


def ran(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(segue, ["osc", *words])
    return done.exit_code, done.output


def test_the_page_in_the_repository_is_up_to_date():
    assert ran("docs", "--check") == (0, f"{PAGE} is up to date\n")


def test_the_page_names_every_address_once_as_a_row():
    rows = re.findall(r"^\| `(/segue/[^`]*)` \|", PAGE.read_text(encoding="utf-8"), re.M)
    assert sorted(rows) == sorted(entry.address for entry in TABLE)
    assert page(SUBJECTS, TABLE) == PAGE.read_text(encoding="utf-8")


def test_a_page_that_is_out_of_date_is_an_error_with_the_remedy(tmp_path: Path):
    path = tmp_path / "page.md"
    code, told = ran("docs", "--check", "--out", str(path))
    assert (code, told) == (2, f"segue: there is no page at {path}; run segue osc docs --out {path}\n")
    assert ran("docs", "--out", str(path))[0] == 0
    assert ran("docs", "--check", "--out", str(path))[0] == 0
    path.write_text(path.read_text() + "x")
    code, told = ran("docs", "--check", "--out", str(path))
    assert (code, told) == (2, f"segue: {path} is out of date; run segue osc docs --out {path}\n")


def test_list_takes_a_pattern():
    code, told = ran("list", "/segue/param/see*")
    assert code == 0
    assert told.splitlines() == [
        "/segue/param/seed seed:i  # Seed of the next take; setting it locks it",
        "/segue/param/seed_lock seed_lock:i  # 1: every generate uses the same seed; 0: a new one each time",
    ]
    assert ran("list", "/segue/parm/seed") == (
        2,
        "segue: no address matches /segue/parm/seed; the nearest is /segue/param/seed\n",
    )
    assert len(ran("list")[1].splitlines()) == len(list(TABLE))


def test_send_prints_the_answer(start_session: StartSession):
    port = str(start_session().port)
    assert ran("send", "--port", port, "--seconds", "0.3", "/segue/test") == (0, '/segue/test "ok"\n')
    code, told = ran("send", "--port", port, "--seconds", "0.3", "/segue/param/temperature", "0.5")
    assert code == 0 and told.splitlines()[0] == "/segue/param/temperature 0.5"


def test_listen_prints_what_changes(start_session: StartSession):
    running = start_session()
    client = running.client()
    change = threading.Timer(0.3, lambda: client.send("/segue/param/seed", 1234))
    change.start()
    code, told = ran("listen", "--port", str(running.port), "--seconds", "1.0", "/segue/param/seed")
    assert code == 0 and "/segue/param/seed 1234" in told.splitlines()
    change.join()


@pytest.mark.parametrize("command", [("send", "/segue/test"), ("listen",)])
def test_nobody_there_is_one_sentence(command: tuple[str, ...]):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        code, told = ran(command[0], "--port", str(port), "--seconds", "0.2", *command[1:])
    assert code == 2
    assert told == f"segue: nothing answered at 127.0.0.1:{port}; is segue serve running there?\n"
