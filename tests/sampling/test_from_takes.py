"""Takes that go on from nothing, from codes, or from a whole take: on disk, with a tiny random model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.numpy import load_file, save_file

from engine.backends.torch_backend import TorchBackend
from engine.errors import BadFormat, Cancelled, NoFile, OutOfRange
from engine.host.jobs import run_request
from engine.prior.labels import make_labels
from engine.request import (
    Fidelity,
    LevelSampling,
    Mode,
    PrimeRef,
    Request,
    Sampling,
    Span,
    TakeRef,
)
from engine.sampling.infill import derived_seed
from engine.store.folder import Model
from engine.take import Take
from engine.take.lineage import ancestor
from tests.host.tiny import write_riff
from tests.prior.build import tiny_model

FRAMES = 7_001  # neither a token nor a chunk
HOPS = (8, 32, 128)
# One window after the other, so that audio is the plain decode of the codes.
EXACT = Sampling(bottom=LevelSampling())
SEAM = 48 * 128  # of a take from the riff: as much prime as is of use


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> TorchBackend:
    return TorchBackend(tiny_model(tmp_path_factory.mktemp("models") / "tiny"))


@pytest.fixture(scope="module")
def first(backend: TorchBackend, tmp_path_factory: pytest.TempPathFactory) -> Request:
    riff = write_riff(tmp_path_factory.mktemp("riff") / "riff.wav", seconds=0.6)
    return Request(prime=PrimeRef(path=str(riff)), frames=FRAMES, seed=5, sampling=EXACT)


@pytest.fixture(scope="module")
def parent(backend: TorchBackend, first: Request, tmp_path_factory: pytest.TempPathFactory) -> Take:
    return make(backend, first, tmp_path_factory.mktemp("parents"))


@pytest.fixture(scope="module")
def draft(backend: TorchBackend, first: Request, tmp_path_factory: pytest.TempPathFactory) -> Take:
    request = first.model_copy(update={"fidelity": Fidelity.DRAFT})
    return make(backend, request, tmp_path_factory.mktemp("drafts"))


def make(backend: TorchBackend, request: Request, root: Path, **more: object) -> Take:
    (take,) = run_request(backend, request, folder=root, **more)  # type: ignore[arg-type]
    return take


def from_take(request: Request, mode: Mode, *parents: Take, **changes: object) -> Request:
    values = request.model_dump() | {
        "mode": mode,
        "prime": None,
        "parents": tuple(TakeRef(folder=str(take.folder)) for take in parents),
    }
    return Request.model_validate(values | changes)


def codes_on_disk(take: Take) -> dict[int, np.ndarray]:
    return {int(name[-1]): codes for name, codes in load_file(take.folder / "codes.safetensors").items()}


def pcm(take: Take) -> np.ndarray:
    return soundfile.read(take.wav, dtype="int32")[0] >> 8


def whole_decode(model: Model, codes: np.ndarray, level: int) -> np.ndarray:
    decoded = model.codec.decode(torch.from_numpy(codes), level).clamp(-1, 1).double().numpy()
    return np.rint(decoded * 2**23)


def test_from_nothing(backend: TorchBackend, tmp_path: Path) -> None:
    request = Request(mode=Mode.ANCESTRAL, frames=FRAMES, seed=5, sampling=EXACT)
    take = make(backend, request, tmp_path)
    assert {level: codes.size for level, codes in codes_on_disk(take).items()} == {0: 880, 1: 220, 2: 55}
    assert take.info.prime_tokens == {0: 0, 1: 0, 2: 0} and take.info.head.prime_frames == 0
    np.testing.assert_array_equal(pcm(take), whole_decode(backend.model, take.codes()[0], 0)[:FRAMES])
    assert take.prime().frames == 0 and not (take.folder / "prime.wav").exists()
    assert Take.load(take.folder).info.head.request == request


def test_from_nothing_in_several_windows_and_resumed(backend: TorchBackend, tmp_path: Path) -> None:
    request = Request(mode=Mode.ANCESTRAL, frames=20_000, seed=6, fidelity=Fidelity.FINE)
    whole = make(backend, request, tmp_path / "a")
    assert [window.start for window in whole.info.plan if window.level == 2] == [0, 64, 80, 96, 112, 128, 144]
    stops = iter([False] * 12)
    with pytest.raises(Cancelled):
        make(backend, request, tmp_path / "b", should_stop=lambda: next(stops, True))
    (folder,) = (tmp_path / "b").glob("2*")
    again = make(backend, request, tmp_path / "b", resume=[folder])
    assert again.info.timings.runs == 2
    np.testing.assert_array_equal(pcm(again), pcm(whole))


@pytest.mark.slow
def test_codes_are_continued_without_being_encoded_again(
    backend: TorchBackend, first: Request, parent: Take, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("codes that are known were encoded again")

    monkeypatch.setattr(backend, "encode", refuse)
    child = make(backend, from_take(first, Mode.CONTINUE, parent, seed=9), tmp_path)
    before, after = codes_on_disk(parent), codes_on_disk(child)
    for level, scale in enumerate((16, 4, 1)):
        np.testing.assert_array_equal(after[level][: 48 * scale], before[level][-48 * scale :])
    # The parent ends inside its last token: the child begins there, and hands on no sample twice.
    tokens = -(-(SEAM + FRAMES) // 128)
    assert child.info.head.overhang == tokens * 128 - SEAM - FRAMES == 39
    seam = 48 * 128 - 39
    whole = whole_decode(backend.model, after[0], 0)
    np.testing.assert_array_equal(pcm(child), whole[seam : seam + FRAMES])
    assert child.info.head.parent == parent.folder.name
    heard = np.concatenate([parent.prime().mono_samples(), parent.audio().mono_samples()])
    np.testing.assert_array_equal(child.prime().mono_samples(), heard)


def test_the_song_goes_on_where_the_parent_ended(
    backend: TorchBackend, first: Request, parent: Take, tmp_path: Path
) -> None:
    """A position that was stated is kept to: the riff of 0.6 s lies at 2 s, and the model knows songs of 20 s."""
    at = {"total_seconds": 20, "prime_at_seconds": 2}
    positions = []

    class Told(TorchBackend):
        def runner(self, level: int, lanes: int):  # type: ignore[no-untyped-def]
            runner = super().runner(level, lanes)
            real = runner.begin
            runner.begin = lambda window, stopped: (  # type: ignore[method-assign]
                positions.append((level, window.offsets[0])),
                real(window, stopped),
            )[1]
            return runner

    make(Told(backend.model), from_take(first, Mode.CONTINUE, parent, song=at), tmp_path)
    end = 2 * 44_100 + round(0.6 * 44_100) + FRAMES
    assert next(offset for level, offset in positions if level == 2) == end - (48 * 128 - 39)


def test_only_the_beginning_of_a_take_is_continued(
    backend: TorchBackend, first: Request, parent: Take, tmp_path: Path
) -> None:
    kept = TakeRef(folder=str(parent.folder), frames=2_560)  # 20 whole tokens
    child = make(backend, from_take(first, Mode.CONTINUE, parents=(kept,)), tmp_path)
    before, after = codes_on_disk(parent), codes_on_disk(child)
    np.testing.assert_array_equal(after[2][:48], before[2][20:68])
    assert child.info.head.overhang == 0
    assert child.prime().frames == parent.info.head.prime_frames + 2_560
    too_much = TakeRef(folder=str(parent.folder), frames=9_000)
    with pytest.raises(OutOfRange) as raised:
        make(backend, from_take(first, Mode.CONTINUE, parents=(too_much,)), tmp_path)
    assert raised.value.message == (
        f"the take '{parent.folder}' has 7001 frames (0.16 s); 9000 (0.20 s) cannot be kept of it"
    )


def test_a_draft_is_upsampled_and_its_top_codes_stay(
    backend: TorchBackend, first: Request, parent: Take, draft: Take, tmp_path: Path
) -> None:
    fine = make(backend, from_take(first, Mode.UPSAMPLE, draft, fidelity=Fidelity.FINE), tmp_path)
    full = make(backend, from_take(first, Mode.UPSAMPLE, fine), tmp_path)
    direct = codes_on_disk(parent)
    for level, codes in codes_on_disk(full).items():
        np.testing.assert_array_equal(codes, direct[level])  # the same noise, so the same as made at once
    np.testing.assert_array_equal(pcm(full), pcm(parent))
    assert sorted(full.info.timings.tokens) == [0] and sorted(fine.info.timings.tokens) == [1]
    assert full.info.head.parent == fine.folder.name
    assert full.info.prime_tokens == {0: 768, 1: 192, 2: 48}


def test_an_upsampling_that_was_cut_short_is_resumed(
    backend: TorchBackend, first: Request, parent: Take, draft: Take, tmp_path: Path
) -> None:
    request, stops = from_take(first, Mode.UPSAMPLE, draft), iter([False] * 8)
    with pytest.raises(Cancelled):
        make(backend, request, tmp_path, should_stop=lambda: next(stops, True))
    (folder,) = tmp_path.glob("2*")
    np.testing.assert_array_equal(pcm(make(backend, request, tmp_path, resume=[folder])), pcm(parent))


def test_a_chain_of_takes_becomes_one(
    backend: TorchBackend, first: Request, parent: Take, draft: Take, tmp_path: Path
) -> None:
    child = make(backend, from_take(first, Mode.CONTINUE, parent, seed=9), tmp_path)
    request = from_take(first, Mode.UPSAMPLE, parent, child, frames=2 * FRAMES)
    one = make(backend, request, tmp_path)
    assert one.info.timings.tokens == {}
    codes, tail = codes_on_disk(one), codes_on_disk(child)
    np.testing.assert_array_equal(codes[0][: parent.codes()[0].size], parent.codes()[0])
    np.testing.assert_array_equal(codes[0][-(tail[0].size - 768) :], tail[0][768:])
    whole = whole_decode(backend.model, codes[0], 0)[SEAM : SEAM + 2 * FRAMES]
    np.testing.assert_array_equal(pcm(one), whole)
    with pytest.raises(
        BadFormat, match=r"does not continue the take .*; give takes in the order they were made"
    ):
        ancestor([child, parent], [None, None], HOPS)


def test_unknown_and_unfit_parents(
    backend: TorchBackend, first: Request, parent: Take, draft: Take, tmp_path: Path
) -> None:
    missing = TakeRef(folder=str(tmp_path / "gone"))
    with pytest.raises(NoFile) as lost:
        make(backend, from_take(first, Mode.CONTINUE, parents=(missing,)), tmp_path / "t")
    assert lost.value.message == (
        f"'{tmp_path / 'gone'}' is not a take's folder: it holds no readable take.json"
    )
    with pytest.raises(BadFormat) as coarse:
        make(backend, from_take(first, Mode.CONTINUE, draft), tmp_path / "t")
    assert coarse.value.message == (
        f"the take '{draft.folder}' holds no codes of level 0 (bottom); upsample it first"
    )
    with pytest.raises(OutOfRange) as longer:
        make(backend, from_take(first, Mode.UPSAMPLE, draft, frames=8_000), tmp_path / "t")
    assert longer.value.message == (
        f"the take '{draft.folder}' has 7001 frames and 8000 were asked for; ask for 7001"
    )
    bottom = tmp_path / "bottom"
    copy_take(parent, bottom, levels=[0])
    with pytest.raises(BadFormat) as topless:
        make(backend, from_take(first, Mode.UPSAMPLE, Take.load(bottom)), tmp_path / "t")
    assert topless.value.message == (
        f"the take '{bottom}' holds no codes of level 2 (top); give a take that was finished"
    )
    torn = tmp_path / "torn"
    copy_take(parent, torn, levels=[0, 1, 2], tokens=800)
    with pytest.raises(BadFormat) as partial:
        make(backend, from_take(first, Mode.CONTINUE, Take.load(torn)), tmp_path / "t")
    assert partial.value.message == (
        f"the take '{torn}' holds 800 of 1648 codes of level 0; resume it before it is used"
    )
    other = TorchBackend(tiny_model(tmp_path / "other", seed=1))
    with pytest.raises(BadFormat) as foreign:
        make(other, from_take(first, Mode.CONTINUE, parent), tmp_path / "t")
    assert foreign.value.message == (
        f"the take '{parent.folder}' was made with another model; load the model 'starter' it was made with"
    )
    assert not (tmp_path / "t").exists() or not list((tmp_path / "t").iterdir())


def copy_take(take: Take, folder: Path, levels: list[int], tokens: int | None = None) -> None:
    folder.mkdir()
    for path in take.folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    kept = {f"level_{level}": take.codes()[level][:tokens].copy() for level in levels}
    metadata = {"prime_tokens": json.dumps(take.info.prime_tokens)}
    save_file(kept, folder / "codes.safetensors", metadata=metadata)


def test_requests_of_the_first_schema_are_read(parent: Take, tmp_path: Path) -> None:
    """As they were written before there were modes: no mode, parents, span or overhang."""
    old = tmp_path / "old"
    copy_take(parent, old, levels=[0, 1, 2])
    record = json.loads((old / "take.json").read_text())
    for name in ("mode", "parents", "span", "style_changes", "lyrics", "lyric_times"):
        del record["head"]["request"][name]
    record["head"]["request"]["schema_version"] = record["head"]["schema_version"] = 1
    del record["head"]["overhang"]
    (old / "take.json").write_text(json.dumps(record))
    head = Take.load(old).info.head
    assert head.request.mode is Mode.PRIMED and head.overhang == 0
    assert head.request.prime == parent.info.head.request.prime


# Infill: samples 2000 to 4500 of the continuation hold the top tokens 64 to 82 whole.
INSIDE = (64, 83)


def infill(first: Request, parent: Take, **changes: object) -> Request:
    span = Span(start_frame=2_000, stop_frame=4_500, candidates=3)
    return from_take(first, Mode.INFILL, parent, **{"span": span, "seed": 77, **changes})


def test_outside_the_span_nothing_changes(
    backend: TorchBackend, first: Request, parent: Take, tmp_path: Path
) -> None:
    take = make(backend, infill(first, parent), tmp_path)
    before, after = codes_on_disk(parent), codes_on_disk(take)
    for level, scale in enumerate((16, 4, 1)):
        start, stop = INSIDE[0] * scale, INSIDE[1] * scale
        np.testing.assert_array_equal(after[level][:start], before[level][:start])
        np.testing.assert_array_equal(after[level][stop:], before[level][stop:])
        assert (after[level][start:stop] != before[level][start:stop]).any()
    margin = backend.decode_margin(0) * 8
    first_heard, last_heard = INSIDE[0] * 128 - SEAM - margin, INSIDE[1] * 128 - SEAM + margin
    assert first_heard > 0 and last_heard < FRAMES  # something is left to compare on both sides
    np.testing.assert_array_equal(pcm(take)[:first_heard], pcm(parent)[:first_heard])
    np.testing.assert_array_equal(pcm(take)[last_heard:], pcm(parent)[last_heard:])
    assert (pcm(take) != pcm(parent)).any()
    np.testing.assert_array_equal(pcm(take), whole_decode(backend.model, after[0], 0)[SEAM : SEAM + FRAMES])
    assert take.info.head.parent == parent.folder.name
    sampled = INSIDE[1] - INSIDE[0]
    assert take.info.timings.tokens == {0: 16 * sampled, 1: 4 * sampled, 2: sampled}


@pytest.mark.parametrize(
    "span",
    [
        (1_000, 1_800),
        *(pytest.param(more, marks=pytest.mark.slow) for more in ((2_000, 4_500), (5_200, 6_100))),
    ],
)
def test_outside_the_span_nothing_changes_where_windows_overlap(
    backend: TorchBackend, first: Request, tmp_path: Path, span: tuple[int, int]
) -> None:
    strands = first.model_copy(
        update={"sampling": Sampling(bottom=LevelSampling(strand=1, overlap_fraction=0.25))}
    )
    parent = make(backend, strands, tmp_path / "parent")
    assert len(parent.leads()[0]) > 5
    wanted = Span(start_frame=span[0], stop_frame=span[1], candidates=1)
    take = make(backend, infill(strands, parent, span=wanted), tmp_path / "take")
    # Beside the span a fade of the parent may end early, and the decoder's margin is heard.
    reach = (backend.decode_margin(0) + 16) * 8 + 128
    before, after = max(0, span[0] - reach), min(FRAMES, span[1] + reach)
    assert before or after < FRAMES
    np.testing.assert_array_equal(pcm(take)[:before], pcm(parent)[:before])
    np.testing.assert_array_equal(pcm(take)[after:], pcm(parent)[after:])
    again = make(backend, infill(strands, take, span=wanted, seed=3), tmp_path / "again")
    np.testing.assert_array_equal(pcm(again)[:before], pcm(parent)[:before])


def test_the_version_that_what_follows_fits_best_is_kept(
    backend: TorchBackend, first: Request, parent: Take, tmp_path: Path
) -> None:
    """The likelihood of the 20 fixed tokens behind the span, by the full forward and one window of 64 tokens."""
    prior, start, stop = backend.model.priors[2], INSIDE[1] + 20 - 64, INSIDE[1] + 20
    total = 20 * 44_100  # the longest song the model knows; what goes on is held in its middle
    labels = make_labels(first.style, total, total // 2 + start * 128, backend.config.vocabulary(2))
    versions, scores = [], []
    for seed in (77, derived_seed(77, "infill", 1), derived_seed(77, "infill", 2)):
        span = Span(start_frame=2_000, stop_frame=4_500, candidates=1)
        alone = infill(first, parent, span=span, seed=seed, fidelity=Fidelity.DRAFT)
        versions.append(codes_on_disk(make(backend, alone, tmp_path / "alone"))[2])
        window = torch.from_numpy(versions[-1][start:stop])[None]
        with torch.no_grad():
            logits = prior(window, prior.condition(labels, None))[0].log_softmax(-1)
        scores.append(float(logits[-20:].gather(1, window[0, -20:, None]).sum()))
    assert len({version.tobytes() for version in versions}) == 3
    chosen = codes_on_disk(make(backend, infill(first, parent), tmp_path / "chosen"))[2]
    np.testing.assert_array_equal(chosen, versions[int(np.argmax(scores))])


def test_infill_is_resumed_as_it_was(
    backend: TorchBackend, first: Request, parent: Take, tmp_path: Path
) -> None:
    whole = make(backend, infill(first, parent), tmp_path / "a")
    stops = iter([False] * 10)
    with pytest.raises(Cancelled):
        make(backend, infill(first, parent), tmp_path / "b", should_stop=lambda: next(stops, True))
    (folder,) = (tmp_path / "b").glob("2*")
    again = make(backend, infill(first, parent), tmp_path / "b", resume=[folder])
    np.testing.assert_array_equal(pcm(again), pcm(whole))


@pytest.mark.parametrize(("start", "stop"), [(0, 1_300), (5_000, FRAMES), (0, FRAMES)])
def test_the_beginning_the_end_and_all_of_a_take(
    backend: TorchBackend, first: Request, parent: Take, tmp_path: Path, start: int, stop: int
) -> None:
    span = Span(start_frame=start, stop_frame=stop, candidates=2)
    take = make(backend, infill(first, parent, span=span, fidelity=Fidelity.DRAFT), tmp_path)
    before, after = codes_on_disk(parent)[2], codes_on_disk(take)[2]
    changed = np.flatnonzero(before != after)
    assert changed.size and changed[0] >= -(-(SEAM + start) // 128) and changed[-1] < -(-(SEAM + stop) // 128)


def test_a_span_of_less_than_a_token(
    backend: TorchBackend, first: Request, parent: Take, tmp_path: Path
) -> None:
    with pytest.raises(OutOfRange) as raised:
        make(backend, infill(first, parent, span=Span(start_frame=10, stop_frame=100)), tmp_path)
    assert raised.value.message == (
        "the span of 90 samples holds no whole top-level token of 128 samples; give a span of at least 256 samples"
    )
