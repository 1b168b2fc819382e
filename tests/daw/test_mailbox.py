"""Mailboxes: letters of text for scripts that have files and no sockets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import soundfile as sf

from bridge.daw.letters import BadLetter, read, written
from bridge.daw.mailbox import Mailbox
from bridge.osc.wire import encode_message, parse_packet
from tests.bridge.client import OscClient
from tests.bridge.conftest import RunningSession, StartSession, wait_idle
from tests.daw.conftest import make_take
from tests.rig.jack import wait_until


def put(box: Path, name: str, text: str) -> None:
    part = box / "to_segue" / f"{name}.part"
    part.write_bytes(text.encode())
    os.replace(part, box / "to_segue" / f"{name}.msg")


def taken(box: Path) -> str:
    """The letter from Segue, taken as a script takes it."""
    letter = wait_until(lambda: (box / "from_segue").is_file() and box / "from_segue", 90.0, "a letter")
    mine = box / "mine"
    os.replace(letter, mine)
    return mine.read_text(encoding="utf-8")


def test_what_is_written_is_read() -> None:
    texts = ["a\tb\\n\n\r", "C:\\new\\take.wav", "Ünïcode ♪", "", "#tag"]
    packet = encode_message("/segue/x", *texts, 7, -0.25)
    message = read(written(parse_packet(packet)))[0]
    assert message.address == "/segue/x"
    assert message.values == (*texts, 7, -0.25)
    assert message.tags == "sssss" + "hd"


@pytest.mark.parametrize(
    "line", ["no address", "/a\tx1", "/a\ti1.5", "/a\tinan", "/a\tfnan", "/a\t", "/a\tf1e999", "/a\n" * 257]
)
def test_what_is_no_letter_is_refused(line: str) -> None:
    with pytest.raises(BadLetter):
        read(line)


def test_a_bad_letter_does_not_stop_the_next(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    box = Mailbox(tmp_path)
    assert box.exchange() == [] and box.closed
    (tmp_path / "to_segue").mkdir()
    put(tmp_path, "1", "nonsense")
    put(tmp_path, "2", "/segue/test" + "x" * 70_000)
    put(tmp_path, "3", "/segue/test\n")
    (tmp_path / "to_segue" / "4.msg.part").write_text("/segue/half")
    assert [message.address for message in box.exchange()] == ["/segue/test"]
    assert not box.closed
    assert "is no OSC address" in caplog.text and "longer than 64 KiB" in caplog.text
    assert sorted(os.listdir(tmp_path / "to_segue")) == ["4.msg.part"]


def test_a_letter_waits_until_the_one_before_is_taken(tmp_path: Path) -> None:
    box = Mailbox(tmp_path)
    box.send(encode_message("/segue/a", 1))
    box.exchange()
    box.send(encode_message("/segue/b", 2))
    box.exchange()
    assert taken(tmp_path) == "/segue/a\ti1\n"
    box.exchange()
    assert taken(tmp_path) == "/segue/b\ti2\n"
    box.send(encode_message("/segue/c"))
    box.exchange()
    box.clear()
    assert not (tmp_path / "from_segue").exists()


def test_a_folder_that_cannot_be_used_is_told_of_once_and_loses_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    box = Mailbox(tmp_path / "gone")
    box.send(encode_message("/segue/a", 1))
    for _ in range(5):
        box.exchange()
    assert caplog.text.count("cannot be used (No such file or directory); make it a folder") == 1
    (tmp_path / "gone").mkdir()
    box.exchange()
    assert taken(tmp_path / "gone") == "/segue/a\ti1\n"


def test_a_script_by_mail_is_a_client_like_any_other(
    client: OscClient, mail: Path, riff: Path, session: RunningSession
) -> None:
    box = mail / "reaper"
    number, _ = make_take(client, riff)
    put(box, "1", "/segue/daw/here\tsreaper\ts7.60\n/segue/test\n")
    assert taken(box) == "/segue/done\ts/segue/daw/here\ti8\n/segue/test\tsok\n"
    client.send("/segue/send", "#s", number, "reaper", 3)
    words = taken(box).rstrip("\n").split("\t")
    assert words[0] == "/segue/daw/take"
    assert sf.info(words[3].removeprefix("s")).format == "WAV"
    assert words[8:10] == ["i3", "i0"]
    put(box, "2", f"/segue/daw/imported\t{words[1]}\n")
    assert client.wait("/segue/done", "/segue/send", timeout=30.0) == ("/segue/send", number, "reaper", "#s")
    put(box, "3", "/segue/daw/nonsense\ti1\n")
    assert taken(box).startswith("/segue/fail\ts/segue/daw/nonsense\ti404\tsunknown_address\t")


def test_a_second_session_leaves_the_mail_to_the_first(
    client: OscClient, mail: Path, session: RunningSession, start_session: StartSession
) -> None:
    from bridge.session.stage import StageSetup

    put(mail / "reaper", "1", "/segue/test\n")
    assert taken(mail / "reaper") == "/segue/test\tsok\n"  # the first has the mailboxes now
    second = start_session(setup={"stage": StageSetup(mail=mail)})
    other = second.client()
    wait_idle(other)
    put(mail / "reaper", "2", "/segue/daw/here\tsreaper\n")
    taken(mail / "reaper")
    assert client.ask("/segue/daws", reply="/segue/daws.end") == (1,)
    assert other.ask("/segue/daws", reply="/segue/daws.end") == (0,)


def test_letters_to_a_session_that_is_gone_are_not_carried_out(
    mail: Path, start_session: StartSession
) -> None:
    from bridge.session.stage import StageSetup

    put(mail / "reaper", "1", "/segue/daw/here\tsreaper\n")
    (mail / "reaper" / "from_segue").write_text("/segue/daw/take\ti1\n")
    client = start_session(setup={"stage": StageSetup(mail=mail)}).client()
    wait_until(lambda: os.listdir(mail / "reaper" / "to_segue") == [], what="the old letter thrown away")
    wait_until(lambda: not (mail / "reaper" / "from_segue").exists(), what="the old letter thrown away")
    assert client.ask("/segue/daws", reply="/segue/daws.end") == (0,)
