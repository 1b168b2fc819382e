"""A take made anew from its folder: the same samples, and what is said when they cannot be."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from safetensors.numpy import load_file, save_file

from engine.backends.torch_backend import TorchBackend
from engine.errors import BadFormat, Cancelled, NoFile, NoModel, NoTake
from engine.host.jobs import run_request
from engine.host.recalling import again, model_for, recall
from engine.host.telling import JobEvent, TakeProgress
from engine.request import (
    Fidelity,
    LevelSampling,
    Mode,
    PrimeRef,
    Pulse,
    Request,
    Sampling,
    Span,
    Style,
    TakeRef,
)
from engine.store import load_model
from engine.take import Take, recover
from tests.host.tiny import make_tiny_model, write_riff

FRAMES = 3_001


@dataclass
class Made:
    take: Take
    lanes: int | None
    chunk: int


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def backend(tiny: Path) -> TorchBackend:
    return TorchBackend(load_model(tiny))


@pytest.fixture(scope="module")
def riff(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_riff(tmp_path_factory.mktemp("riff") / "riff.wav", 0.6, rate=48_000, channels=2)


def make(backend: TorchBackend, request: Request, root: Path, **how: Any) -> Take:
    return run_request(backend, request, folder=root, **how)[0]


def wish(tiny: Path, riff: Path, **changes: Any) -> Request:
    values = {"model": str(tiny), "prime": PrimeRef(path=str(riff)), "frames": FRAMES, "seed": 5} | changes
    return Request.model_validate(values)


def from_takes(tiny: Path, mode: Mode, *parents: Take, kept: int | None = None, **changes: Any) -> Request:
    refs = tuple(TakeRef(folder=str(take.folder), frames=kept) for take in parents)
    return Request.model_validate(
        {"model": str(tiny), "mode": mode, "parents": refs, "frames": FRAMES, "seed": 5} | changes
    )


def twenty(backend: TorchBackend, tiny: Path, riff: Path, root: Path) -> list[Made]:
    """Twenty takes of every mode and fidelity, made in as many ways: lanes, chunks, several at once."""
    ways = [(None, 4096), (1, 64), (2, 777), (8, 1000), (3, 1 << 16)]
    made: list[Made] = []

    def add(request: Request, **how: Any) -> list[Take]:
        lanes, chunk = ways[len(made) % len(ways)]
        takes = run_request(backend, request, folder=root, lanes=lanes, chunk_frames=chunk, **how)
        made.extend(Made(take, lanes, chunk) for take in takes)
        return takes

    strands = Sampling(bottom=LevelSampling(strand=1, overlap_fraction=0.25), middle=LevelSampling(strand=2))
    hot = Sampling(top=LevelSampling(temperature=1.3, top_p=0.9), bottom=LevelSampling(top_k=7))
    house = Style(genres={"house": 0.7, "dub": 0.3})
    (full,) = add(wish(tiny, riff))
    (draft,) = add(wish(tiny, riff, fidelity=Fidelity.DRAFT, seed=6))
    add(wish(tiny, riff, fidelity=Fidelity.FINE, seed=7, style=house))
    add(wish(tiny, riff, seed=8), takes=3)
    add(wish(tiny, riff, seed=20, sampling=strands, bpm=120.0))
    add(wish(tiny, riff, seed=21, sampling=hot, pulse=Pulse(bpm=133.0)))
    add(wish(tiny, riff, seed=22, prime=PrimeRef(path=str(riff), start_seconds=0.05, length_seconds=0.5)))
    add(wish(tiny, riff, seed=23, song={"total_seconds": 40, "prime_at_seconds": 3}))
    add(wish(tiny, riff, seed=24, style_changes=({"at_frame": 1_500, "style": house},)))
    nothing = {"prime": None, "mode": Mode.ANCESTRAL}
    add(wish(tiny, riff, seed=25, **nothing))
    add(wish(tiny, riff, seed=26, fidelity=Fidelity.FINE, **nothing), takes=2)
    (child,) = add(from_takes(tiny, Mode.CONTINUE, full, seed=30))
    add(from_takes(tiny, Mode.CONTINUE, full, kept=1_280, seed=31, fidelity=Fidelity.DRAFT))
    add(from_takes(tiny, Mode.CONTINUE, child, seed=32))
    add(from_takes(tiny, Mode.UPSAMPLE, draft, seed=6))
    add(from_takes(tiny, Mode.UPSAMPLE, full, child, frames=2 * FRAMES, seed=33))
    infilled = {"span": Span(start_frame=1_000, stop_frame=2_000, candidates=2), "seed": 34}
    add(from_takes(tiny, Mode.INFILL, full, **infilled))
    assert len(made) == 20
    return made


@pytest.mark.slow
def test_twenty_takes_recalled_are_the_same_samples(
    backend: TorchBackend, tiny: Path, riff: Path, tmp_path: Path
) -> None:
    made = twenty(backend, tiny, riff, tmp_path / "takes")
    riff_elsewhere = riff.rename(riff.with_name("moved.wav"))  # the recipe is in the take's own folder
    try:
        for number, one in enumerate(made):
            other = made[(number + 7) % 20]  # ways of another take: they change no sample
            lanes = {1: 8, 8: 1}.get(other.lanes or 0, other.lanes)
            found = recall(backend, one.take, tmp_path / "again", lanes=lanes, chunk_frames=other.chunk)
            assert found.identical and found.notes == () and found.frames == one.take.info.frames, number
            before, after = (soundfile.read(take.wav, dtype="int32")[0] for take in (one.take, found.take))
            np.testing.assert_array_equal(before, after)
            was, now = (load_file(take.folder / "codes.safetensors") for take in (one.take, found.take))
            assert was.keys() == now.keys()
            for level, codes in was.items():
                np.testing.assert_array_equal(codes, now[level])
    finally:
        riff_elsewhere.rename(riff)


@pytest.fixture
def take(backend: TorchBackend, tiny: Path, riff: Path, tmp_path: Path) -> Take:
    return make(backend, wish(tiny, riff, frames=1_500), tmp_path / "takes")


def test_the_recipe_holds_what_decides(tiny: Path, take: Take) -> None:
    head = json.loads((take.folder / "request.json").read_text())
    digests = dict(line.split("  ")[::-1] for line in (tiny / "SHA256SUMS").read_text().splitlines())
    assert head["model_files"].keys() == digests.keys() | {"model.json"}
    assert head["model_files"] | digests == head["model_files"]
    assert head["runtime"] == "torch cpu float32" and len(head["model_hash"]) == 64


def test_what_differs_is_counted(backend: TorchBackend, take: Take, tmp_path: Path) -> None:
    samples, rate = soundfile.read(take.wav, dtype="int32")
    samples[700:710] += 1 << 12
    soundfile.write(take.wav, samples, rate, subtype="PCM_24")
    codes = take.codes()
    codes[1][-3] = (codes[1][-3] + 1) % 32
    arrays = {f"level_{level}": array for level, array in codes.items()}
    save_file(arrays, take.folder / "codes.safetensors", metadata={"prime_tokens": "{}"})
    found = recall(backend, take, tmp_path / "again")
    assert (found.differing, found.first_frame, found.other_tokens) == (10, 700, {0: 0, 1: 1, 2: 0})
    assert not found.identical


def test_a_take_without_its_sound_is_compared_by_its_codes(
    backend: TorchBackend, take: Take, tmp_path: Path
) -> None:
    take.wav.unlink()
    found = recall(backend, take, tmp_path / "again")
    assert found.identical and found.frames == 0 and sum(found.tokens.values()) > 0
    assert found.notes[0].startswith("sound could not be compared: there is no file")


def test_a_take_that_was_cut_short_is_made_to_its_end(
    backend: TorchBackend, tiny: Path, riff: Path, tmp_path: Path
) -> None:
    heard: list[int] = []

    def listen(event: JobEvent) -> None:
        heard.extend([event.audio_frames] if isinstance(event, TakeProgress) and event.audio_frames else [])

    request = wish(tiny, riff, frames=20_000, fidelity=Fidelity.DRAFT)
    with pytest.raises(Cancelled):
        make(
            backend,
            request,
            tmp_path / "t",
            chunk_frames=1_000,
            on_event=listen,
            should_stop=lambda: bool(heard),
        )
    partial = recover(next((tmp_path / "t").glob("2*")))
    assert 0 < partial.info.frames < 20_000
    found = recall(backend, partial, tmp_path / "again")
    assert found.identical and found.frames == partial.info.frames and found.take.info.frames == 20_000
    assert found.notes == (f"it was cut short at {partial.info.seconds:.2f} s of 0.45 s",)


def test_takes_that_it_goes_on_from_are_found_where_they_are_now(
    backend: TorchBackend, tiny: Path, take: Take, tmp_path: Path
) -> None:
    request = from_takes(tiny, Mode.CONTINUE, take, frames=1_000, fidelity=Fidelity.DRAFT)
    child = make(backend, request, tmp_path / "takes")
    moved = Path(shutil.move(tmp_path / "takes", tmp_path / "moved"))
    (moved / ".trash").mkdir()
    shutil.move(moved / take.folder.name, moved / ".trash" / take.folder.name)
    child = Take.load(moved / child.folder.name)
    assert recall(backend, child, tmp_path / "again").identical
    shutil.rmtree(moved / ".trash")
    with pytest.raises(NoTake) as raised:
        recall(backend, child, tmp_path / "again")
    assert raised.value.message == (
        f"the take {child.info.head.name} goes on from the take '{take.folder}', which is neither there nor beside it "
        "nor in the trash; bring it back to make this one again"
    )


def test_a_prime_that_is_gone_or_changed(backend: TorchBackend, take: Take, tmp_path: Path) -> None:
    prime = take.folder / "prime.wav"
    samples, rate = soundfile.read(prime, dtype="float32")
    soundfile.write(prime, -samples, rate, subtype="FLOAT")
    with pytest.raises(BadFormat) as changed:
        recall(backend, take, tmp_path / "again")
    assert changed.value.message == (
        f"prime.wav in '{take.folder}' was changed; put the original back to recall the take"
    )
    prime.unlink()
    with pytest.raises(NoFile) as gone:
        again(take)
    assert gone.value.message == (
        f"'{prime}' is missing, and without what was heard before it the take cannot be made again; put the file back"
    )


# -- models that are gone or changed -----------------------------------------------------------------------------------


def test_a_model_that_is_gone(
    take: Take, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = take.info.head
    assert model_for(head) == str(tiny)
    lost = head.model_copy(update={"request": head.request.model_copy(update={"model": "my_model"})})
    with pytest.raises(NoModel) as raised:
        model_for(lost)
    assert raised.value.message == (
        f"the take A01 was made by the model 'my_model' with the hash {head.model_hash[:12]}, which is not here; "
        "import it again, or say where it is with --model"
    )
    assert model_for(lost, str(tiny)) == str(tiny)
    home = tmp_path / "home"
    shutil.copytree(tiny, home / "another_name")
    monkeypatch.setenv("SEGUE_MODELS", str(home))
    half = lost.model_copy(update={"request": head.request.model_copy(update={"model": "my_model@bf16"})})
    assert (model_for(lost), model_for(half)) == ("another_name", "another_name@bf16")
    with pytest.raises(NoModel, match="there is no model 'elsewhere'"):
        model_for(lost, "elsewhere")


def test_a_model_that_has_changed(take: Take, tiny: Path, tmp_path: Path) -> None:
    head, other = take.info.head, make_tiny_model(tmp_path / "other", seed=1)
    shutil.copy(tiny / "codec.safetensors", other / "codec.safetensors")
    for name in ("SHA256SUMS", "prior_0.safetensors"):
        (other / name).unlink()
    shutil.copy(tiny / "prior_0.safetensors", other / "prior_0.safetensors")
    with pytest.raises(NoModel) as raised:
        model_for(head, str(other))
    assert raised.value.message.startswith(
        f"the take A01 was made by the model '{tiny}' with the hash {head.model_hash[:12]}; '{other}' has the hash "
    )
    assert raised.value.message.endswith(
        " (prior_1.safetensors, prior_2.safetensors differ); put the files back that it was made with, or say where "
        "they are with --model"
    )


def test_labels_that_have_changed_are_told(take: Take, tiny: Path, tmp_path: Path) -> None:
    """The weights are the same, so it can be tried; that it may come out otherwise is said."""
    other = Path(shutil.copytree(tiny, tmp_path / "other"))
    config = json.loads((other / "model.json").read_text())
    (other / "model.json").write_text(json.dumps(config | {"metrics": {"measured": "again"}}))
    assert recall(TorchBackend(load_model(other)), take, tmp_path / "again").notes == ()
    (other / "model.json").write_text(json.dumps(config | {"genres": ["unknown", "dub", "house"]}))
    assert model_for(take.info.head, str(other)) == str(other)
    found = recall(TorchBackend(load_model(other)), take, tmp_path / "again")
    assert found.notes == ("model.json of the model changed since",)
