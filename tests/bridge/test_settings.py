from __future__ import annotations

import pytest

from bridge.osc.peer import Peer
from bridge.osc.subscribers import MAX_CLIENTS, Subscribers, TooManyClients
from bridge.session.jobs import Job, JobBook
from bridge.session.settings import Settings, build_request, length_of, tempo_of
from engine.errors import OutOfRange, SegueError
from engine.host.protocol import Ready
from engine.request import PrimeRef, Request, Style


@pytest.mark.parametrize(
    ("path", "bpm"),
    [
        ("/a/night-shift_112bpm.flac", 112.0),
        ("/a/Loop 173.5 BPM.wav", 173.5),
        ("C:\\x\\beat-90-bpm-dry.wav", 90.0),
        ("/a/112bpmish.wav", None),
        ("/a/9bpm.wav", None),
        ("/a/1112bpm.wav", None),
        ("/a/ladder 128.wav", None),
    ],
)
def test_tempo_in_a_file_name(path: str, bpm: float | None):
    assert tempo_of(path, None, None) == bpm
    assert tempo_of(path, 100.0, 90.0) == 100.0
    assert tempo_of(path, None, 97.0) == (bpm or 97.0)


def test_lengths_in_samples():
    assert length_of(None, 4.0, 120.0, 44_100).frames == 8 * 44_100  # 16 beats of half a second
    assert length_of(None, 4.0, 173.5, 44_100).frames == 244_012  # 16 beats of 60 / 173.5 s: 244011.53
    assert length_of(2.5, 4.0, 120.0, 44_100) == length_of(2.5, None, None, 44_100)
    assert length_of(None, None, None, 44_100).frames == 8 * 44_100
    assert length_of(None, None, 100.0, 44_100).bars == 4.0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((None, 4.0, None), "needs a tempo and none was found in the prime"),
        ((601.0, None, None), "the length is 601 s; it must be above 0 and at most 600 s"),
        ((None, 256.0, 60.0), r"256 bars at 60 bpm last 1024 s; at most 600 s \(150 bars\) can be made"),
        ((None, -1.0, 60.0), "the length is -1 bars; it must be above 0"),
    ],
)
def test_impossible_lengths(arguments, sentence: str):
    with pytest.raises(OutOfRange, match=sentence):
        length_of(*arguments, 44_100)


def request(settings: Settings, seconds: float | None = None):
    prime = PrimeRef(path="/r/riff.wav")
    return build_request(
        settings, model="starter", rate=44_100, origin=prime, bpm=90.0, style=Style(), seconds=seconds
    )


def test_seconds_win_over_bars_until_bars_are_set():
    settings = Settings(seed=1).with_value("seconds", 3.0)
    assert request(settings).frames == 132_300
    assert request(settings, seconds=1.0).frames == 44_100
    settings = settings.with_value("bars", 1.0)
    assert settings.seconds == 0.0
    assert (request(settings).frames, request(settings).bars) == (117_600, 1.0)  # 4 beats at 90: 2.667 s


def test_untouched_settings_ask_for_what_the_command_line_asks_for():
    offline = Request(prime=PrimeRef(path="/r/riff.wav"), frames=1)
    assert request(Settings()).sampling == offline.sampling


def test_top_p_and_top_k_exclude_each_other_and_steer_the_top_level():
    settings = Settings().with_value("top_p", 0.9)
    assert request(settings).sampling.top.top_p == 0.9
    settings = settings.with_value("top_k", 50)
    top = request(settings).sampling.top
    assert (top.top_k, top.top_p) == (50, None) and request(settings).sampling.bottom.top_k is None


def test_a_seed_set_by_hand_stays_and_a_free_one_changes():
    assert Settings().with_value("seed", 5).after_job().seed == 5
    free = Settings()
    assert free.after_job().seed != free.seed


def test_seeds_of_all_takes_fit_into_31_bits():
    settings = Settings(seed=2**31 - 1).with_value("takes", 2)
    with pytest.raises(OutOfRange, match="for 2 takes it can be at most 2147483646"):
        request(settings)


def test_leases_end_and_messages_renew_them():
    now = [0.0]
    subscribers = Subscribers(lambda: now[0])
    one, two = Peer("127.0.0.1", 1001), Peer("127.0.0.1", 1002)
    assert subscribers.add(one, None, 10) == (1, 10)
    assert subscribers.add(two, 2000, 10) == (2, 10)
    now[0] = 8.0
    subscribers.touch(two)
    now[0] = 12.0
    assert subscribers.targets() == [Peer("127.0.0.1", 2000)]
    assert subscribers.targets(two) == [Peer("127.0.0.1", 2000)]  # the same client under its other address
    assert subscribers.targets(one) == [Peer("127.0.0.1", 2000), one]
    assert subscribers.add(one, None, None) == (3, 600)


def test_the_thirty_third_client_is_refused():
    subscribers = Subscribers()
    for port in range(1, MAX_CLIENTS + 1):
        subscribers.add(Peer("127.0.0.1", port), None, None)
    with pytest.raises(TooManyClients, match="32 clients are subscribed already; send /segue/notify 0"):
        subscribers.add(Peer("127.0.0.1", 4000), None, None)
    subscribers.remove(Peer("127.0.0.1", 5))
    subscribers.add(Peer("127.0.0.1", 4000), None, None)


def test_overlap_is_what_the_next_window_of_the_top_level_sees_again():
    assert Settings().overlap == 0.75  # its hop is a quarter of a window
    settings = Settings().with_value("overlap", 0.6).with_value("temperature", 0.5)
    sampling = request(settings).sampling
    assert sampling.top.hop_fraction == pytest.approx(0.4) and sampling.top.temperature == 0.5
    assert sampling.middle == Request(prime=PrimeRef(path="/r/riff.wav"), frames=1).sampling.middle


def test_a_request_that_was_changed_into_nonsense_fails_its_job_with_a_sentence():
    """An engine that cannot read a job would never end it."""
    told: list[tuple[object, ...]] = []

    class Heard:
        def publish(self, *values: object, **more: object) -> None:
            told.append(values)

        def fail(self, peer: object, tag: str, address: str, error: SegueError) -> None:
            told.append((address, error.code, error.slug, error.message))

    class Wrong:
        takes = 1

        def request(self, ready: object) -> Request:
            return request(Settings()).model_copy(update={"bpm": 1.0})

    ready = Ready(model="starter", rate=44_100, artists=[], genres=[], seconds=0.0)
    book = JobBook(
        send=lambda command: told.append(("sent", command)),
        engine_ready=lambda: ready,
        playback=Silence(),  # type: ignore[arg-type]
        notices=Heard(),  # type: ignore[arg-type]
        takes=None,  # type: ignore[arg-type]
        aside=None,  # type: ignore[arg-type]
        takes_folder="/t",
        on_change=lambda: None,
    )
    book.add(Job(book.new_id(), Wrong(), Peer("127.0.0.1", 9), "#r"))
    assert (
        "/segue/generate",
        422,
        "out_of_range",
        "this cannot be made: bpm is 1.0; input should be greater than or equal to 20",
    ) in told
    assert told[-1][:3] == ("/segue/job", "J1", "failed") and book.running is None
    assert not [entry for entry in told if entry[0] == "sent"]


class Silence:
    def drop(self, job: str) -> None:
        pass
