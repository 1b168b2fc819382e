"""`/segue/send` and the addresses for scripts, over real sockets, with clients that play the part of a DAW."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest
import soundfile as sf

from bridge.session.stage import StageSetup
from tests.bridge.client import OscClient, messages_of
from tests.bridge.conftest import RunningSession, StartSession, wait_idle
from tests.daw.conftest import make_take, use_takes_as_made
from tests.ports import free_port


def sent(client: OscClient, *values: object, timeout: float = 90.0) -> tuple[object, ...]:
    """The one answer to /segue/send."""
    client.send("/segue/send", "#s", *values)
    while True:
        for index, (address, told) in enumerate(client.heard):
            if address in ("/segue/done", "/segue/fail") and told[0] == "/segue/send":
                del client.heard[index]
                assert told[-1] == "#s"
                return told[1:-1]
        assert client.listen(timeout), client.heard


@pytest.fixture
def live(session: RunningSession) -> OscClient:
    return session.client()


def test_a_take_is_handed_to_the_daw_that_is_there(client: OscClient, live: OscClient, riff: Path) -> None:
    number, path = make_take(client, riff)
    live.send("/segue/daw/here", "live", "12.1")
    assert live.wait("/segue/done", "/segue/daw/here")[1] == 8
    client.send("/segue/daws")
    assert client.wait("/segue/daws.item") == ("live", "12.1")
    assert client.wait("/segue/daws.end") == (1,)

    client.send("/segue/send", "#s", number, "live", 2, 5)
    send, take, file, name, seconds, _bpm, _seed, track, slot, after, mark = live.wait(
        "/segue/daw/take", timeout=90.0
    )
    assert (take, file, name, track, slot, after, mark) == (number, path, "A01", 2, 5, 0.0, "")
    assert seconds == pytest.approx(sf.info(path).duration, abs=1e-4)
    client.drain(0.2)
    assert not [told for told in client.heard if told[0] == "/segue/done"]  # not before it says so
    live.send("/segue/daw/imported", send)
    assert client.wait("/segue/done", "/segue/send") == ("/segue/send", number, "live", "#s")
    live.send("/segue/daw/imported", send)
    assert live.wait("/segue/fail", "/segue/daw/imported")[1:3] == (422, "out_of_range")


def test_a_take_is_handed_over_finished(start_session: StartSession, riff: Path) -> None:
    running = start_session()
    client, live = running.client(), running.client()
    wait_idle(client)
    number, path = make_take(client, riff)
    live.send("/segue/daw/here", "live")
    client.send("/segue/send", number, "live")
    send, _, file, *_ = live.wait("/segue/daw/take", timeout=120.0)
    assert file != path
    assert (sf.info(file).format, sf.info(file).subtype) == ("WAV", "PCM_24")
    live.send("/segue/daw/imported", send)
    client.wait("/segue/done", "/segue/send", number, "live", timeout=30.0)


def test_each_way_to_fail_is_told_once(
    client: OscClient, live: OscClient, riff: Path, session: RunningSession
) -> None:
    session.session._stage.daws.patience = 0.5
    number, _ = make_take(client, riff)
    code, slug, sentence = sent(client, number, "live")
    assert (code, slug) == (503, "daw_absent")
    assert "segue daw install live" in str(sentence)
    assert sent(client, 99, "live")[:2] == (404, "no_take")
    assert sent(client, number, "cubase")[:2] == (422, "out_of_range")

    live.send("/segue/daw/here", "live")
    live.wait("/segue/done", "/segue/daw/here")
    code, slug, sentence = sent(client, number, "live")
    assert (code, slug) == (504, "daw_timeout")
    assert "has not answered for 0 s" in str(sentence) or "Ableton Live" in str(sentence)

    session.session._stage.daws.patience = 10.0
    client.send("/segue/send", "#s", number, "live")
    live.wait("/segue/daw/take", timeout=90.0)
    send = live.wait("/segue/daw/take", timeout=90.0)[0]
    live.send("/segue/daw/refused", send, "the track is frozen")
    told = client.wait("/segue/fail", "/segue/send")
    assert told[1:] == (409, "daw_refused", "Ableton Live did not take A01: the track is frozen", "#s")
    assert [a for a, v in client.drain(0.3) if a in ("/segue/done", "/segue/fail")] == []


def test_a_daw_that_goes_is_told_of(
    client: OscClient, live: OscClient, riff: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, _ = make_take(client, riff)
    monkeypatch.setattr("bridge.session.daws.LEASE_SECONDS", 0.2)
    live.send("/segue/daw/here", "live")
    live.wait("/segue/done", "/segue/daw/here")
    client.drain(0.5)
    assert sent(client, number, "live")[:2] == (503, "daw_absent")
    live.send("/segue/daw/prime", "live", str(riff), 0.0, 0.0, 0.0, -1.0, "", 1)
    sentence = client.wait("/segue/error", timeout=60.0)[0]
    assert sentence.startswith("A02 is made, but Ableton Live is not there: open it")


def test_the_session_answers_while_a_daw_does_not(client: OscClient, live: OscClient, riff: Path) -> None:
    number, _ = make_take(client, riff)
    live.send("/segue/daw/here", "live")
    live.wait("/segue/done", "/segue/daw/here")
    for _ in range(20):
        client.send("/segue/send", number, "live")
    for _ in range(20):
        live.wait("/segue/daw/take", timeout=90.0)
    assert client.ask("/segue/test", timeout=2.0) == ("ok",)


def test_a_clip_is_primed_and_its_takes_come_back_with_its_mark(
    client: OscClient, live: OscClient, riff: Path
) -> None:
    client.send("/segue/param/seconds", 0.5)
    live.send("/segue/daw/here", "live")
    live.send("/segue/daw/prime", "live", str(riff), 0.5, 1.0, 100.0, 12.25, "track=2 slot=3", 1)
    prime_id, seconds, _rate = live.wait("/segue/done", "/segue/daw/prime")[1:]
    assert seconds == pytest.approx(1.0, abs=0.01)
    assert client.wait("/segue/prime", prime_id)[2] == pytest.approx(100.0)
    send, take, *_, after, mark = live.wait("/segue/daw/take", timeout=90.0)
    assert (after, mark) == (0.0, "track=2 slot=3")
    live.send("/segue/daw/imported", send)
    assert live.wait("/segue/done", "/segue/send") == ("/segue/send", take, "live")

    # A take of that take begins where that ended.
    client.send("/segue/continue", take)
    number = client.wait("/segue/take", take + 1, timeout=60.0)[0]
    client.send("/segue/send", number, "live")
    *_, after, mark = live.wait("/segue/daw/take", timeout=90.0)
    assert after == pytest.approx(0.5, abs=1e-4)
    assert mark == "track=2 slot=3"
    request = (Path(client.wait("/segue/take", take)[8]).parent / "request.json").read_text()
    assert '"seconds":12.25' in request.replace(" ", "")


def test_what_is_selected_is_asked_for(client: OscClient, live: OscClient) -> None:
    client.send("/segue/daw/grab", "live", 1)
    assert client.wait("/segue/fail", "/segue/daw/grab")[1:3] == (503, "daw_absent")
    live.send("/segue/daw/here", "live")
    live.wait("/segue/done", "/segue/daw/here")
    client.send("/segue/daw/grab", "live", 1)
    assert live.wait("/segue/daw/grabbing") == (1,)


class DrivenByMoss(threading.Thread):
    """Answers as the extension does: what every slot holds on /refresh, and changes."""

    def __init__(self, takes_files: bool = True, filled: tuple[int, int] = (0, 0)) -> None:
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.feedback = free_port()
        self.takes_files, self.filled = takes_files, {filled}
        self.got: list[tuple[str, tuple[object, ...]]] = []

    @property
    def ports(self) -> tuple[int, int]:
        return self.socket.getsockname()[1], self.feedback

    def run(self) -> None:
        while True:
            data = self.socket.recv(65536)
            if data == b"end":
                return
            for address, values in messages_of(data):
                self.got.append((address, values))
                parts = address.split("/")
                if address == "/refresh":
                    for track in (1, 2):
                        for slot in range(1, 9):
                            self.tell(track, slot)
                elif parts[-1] == "insertFile" and self.takes_files:
                    track, slot = int(parts[2]), int(parts[4])
                    self.filled.add((track, slot))
                    self.tell(track, slot)

    def tell(self, track: int, slot: int) -> None:
        teller = OscClient(self.feedback)
        teller.send(f"/track/{track}/clip/{slot}/hasContent", int((track, slot) in self.filled))
        teller.close()

    def end(self) -> None:
        self.socket.sendto(b"end", self.socket.getsockname())
        self.join(5)
        self.socket.close()


@pytest.mark.slow
def test_bitwig_is_reached_through_drivenbymoss(start_session: StartSession, riff: Path) -> None:
    bitwig = DrivenByMoss(filled=(1, 1))
    running = start_session(setup={"stage": StageSetup(bitwig=bitwig.ports)})
    client = running.client()
    wait_idle(client)
    number, path = make_take(client, riff)
    use_takes_as_made(running)
    assert sent(client, number, "bitwig")[:2] == (400, "bad_args")
    assert sent(client, number, "bitwig", 2, 5)[:2] == (503, "daw_absent")  # nobody runs there yet
    bitwig.start()
    assert sent(client, number, "bitwig", 2, 5) == (number, "bitwig")
    inserted = [message for message in bitwig.got if message[0] != "/refresh"]
    assert inserted == [("/track/2/clip/5/insertFile", (path,))]
    code, slug, sentence = sent(client, number, "bitwig", 1, 1)
    assert (code, slug) == (409, "daw_refused") and "holds a clip" in str(sentence)
    bitwig.takes_files = False
    assert sent(client, number, "bitwig", 1, 2)[:2] == (504, "daw_timeout")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", bitwig.feedback))
        code, slug, sentence = sent(client, number, "bitwig", 1, 3)
        assert (code, slug) == (409, "busy") and "--bitwig RECEIVES:SENDS" in str(sentence)
    bitwig.end()
