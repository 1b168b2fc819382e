"""Which character is sung when: attention put together, the way through the text, files that others read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from bridge.cli import segue
from engine.alignment.attention import take_attention
from engine.alignment.path import Sung, monotone_path, sung_characters
from engine.backends.torch_backend import TorchBackend
from engine.host.jobs import run_request
from engine.lyrics import parse_lrc
from engine.prior.config import EncoderConfig, LyricsConfig, Shape
from engine.prior.patterns import Kind
from engine.prior.prior import Prior
from engine.prior.transformer import Attention
from engine.request import Fidelity, PrimeRef, Request
from engine.store import load_model
from engine.take import Take
from tests.host.tiny import make_tiny_model, write_riff

WORDS = "Oh my love, the night\nis long and blue"
ENCODER = EncoderConfig(width=8, depth=2, blocks=4, m_attn=1.0)
LYRICS = LyricsConfig(tokens=16, encoder=ENCODER, alignment=(3, 0))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Take]:
    """A tiny model that reads lyrics, and a take of it that sings some."""
    folder = tmp_path_factory.mktemp("aligned")
    model = make_tiny_model(folder / "tiny", top={"attention_order": 6, "depth": 5, "lyrics": LYRICS})
    riff = write_riff(folder / "riff.wav", 0.6)
    request = Request(
        model=str(model),
        prime=PrimeRef(path=str(riff)),
        frames=44100 // 2,
        lyrics=WORDS,
        fidelity=Fidelity.DRAFT,
    )
    (take,) = run_request(TorchBackend(load_model(model)), request, folder=folder / "takes")
    return model, take


def run(*arguments: object) -> Result:
    return CliRunner().invoke(segue, ["align", *map(str, arguments)])


def test_attention_weights_are_those_that_attention_uses() -> None:
    """Weights times values, projected, is what the layer gives."""
    torch.manual_seed(0)
    lyric = Attention(Shape(24, 4, 8, 1, 4, 8, (Kind.LYRICS,), 8.0, False, source=5), Kind.LYRICS)
    torch.nn.init.normal_(lyric.c_proj.weight)
    x, states = torch.randn(2, 24, 8), torch.randn(2, 5, 8)
    _, values = lyric.source(states)
    weights = lyric.weights(x, states, 0, 5)
    torch.testing.assert_close(lyric.c_proj(weights @ values[:, 0]), lyric(x, states))

    prime = Attention(Shape(24, 4, 8, 1, 4, 8, (Kind.PRIME,), 8.0, False, prime=8), Kind.PRIME)
    values = prime.c_attn(x)[:, :8, 8:]
    weights = prime.weights(x, None, 0, 8)
    torch.testing.assert_close(prime.c_proj(weights @ values), prime(x))


def test_the_way_through_the_text_follows_the_attention_and_never_goes_back() -> None:
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2, 3, 6, 7], [4, 2, 5, 1, 6, 3])  # 4 and 5 are skipped
    matrix = rng.random((truth.size, 9)).astype(np.float32) * 0.05
    matrix[np.arange(truth.size), truth] = 0.8
    matrix[9, 0] = 0.85  # a look back at the beginning is no second singing
    assert monotone_path(matrix).tolist() == truth.tolist()


def test_times_are_those_of_the_steps_and_skipped_characters_lie_between() -> None:
    truth = np.repeat([1, 2, 4], [3, 3, 4])
    matrix = np.full((40, 6), 0.01, np.float32)
    matrix[np.arange(40), np.repeat(truth, 4)] = 0.9
    seconds = np.arange(40) * 0.01 - 0.1
    found = sung_characters("abcdef", matrix, seconds, pool=4)
    assert [one.character for one in found] == list("abcdef")
    assert found[0].seconds is None and found[5].seconds is None
    assert found[1].seconds == pytest.approx(-0.1)
    assert found[2].seconds == pytest.approx(0.02)  # after three steps of four tokens
    assert found[4].seconds == pytest.approx(0.14)
    assert found[3].seconds == pytest.approx(0.08)
    assert found[2].attention == pytest.approx(0.9)


def test_text_that_no_window_held_has_no_time() -> None:
    matrix = np.zeros((8, 3), np.float32)
    assert sung_characters("abc", matrix, np.arange(8.0)) == tuple(Sung(c, None, 0.0) for c in "abc")


def test_windows_are_put_at_their_place_in_the_text(made: tuple[Path, Take]) -> None:
    folder, take = made
    found = take_attention(load_model(folder), take)
    codes = take.codes()[2]
    assert found.matrix.shape == (codes.size, len(WORDS))
    assert found.seconds[0] == pytest.approx(-take.info.prime_tokens[2] * 128 / 44100)
    # a lyric encoder's layer looks at its 16 characters and nothing else
    assert found.matrix.sum(axis=1) == pytest.approx(np.ones(codes.size), abs=1e-4)
    looked = (found.matrix > 0).sum(axis=1)
    assert looked[0] == looked[-1] == 16  # of one window
    assert set(looked) - {16} and looked.min() == 16 and looked.max() <= len(WORDS)  # of several


def test_where_windows_overlap_their_mean_counts(
    made: tuple[Path, Take], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, take = made
    begins: list[int] = []

    def window(prior: Prior, codes: np.ndarray, labels: object, ids: np.ndarray) -> np.ndarray:
        """The first window looks at its first character, the next one at its second, and so on."""
        row = np.zeros((codes.size, ids.size), np.float32)
        row[:, len(begins)] = 1.0
        begins.append(int(ids[len(begins)]))
        return row

    monkeypatch.setattr("engine.alignment.attention._window", window)
    found = take_attention(load_model(folder), take).matrix
    assert len(begins) > 2
    assert np.sort(found[0])[-2:].tolist() == [0.0, 1.0]
    halves = found[(found > 0).sum(axis=1) == 2]
    assert len(halves) and (np.sort(halves, axis=1)[:, -2:] == 0.5).all()


def test_the_command_writes_json_lrc_and_a_picture(
    made: tuple[Path, Take], capsys: pytest.CaptureFixture[str]
) -> None:
    _, take = made
    done = run(take.folder, "--json")
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert record["text"] == WORDS
    assert [word["text"] for word in record["words"]] == WORDS.split()
    assert {word["line"] for word in record["words"]} == {0, 1}
    times = [one["seconds"] for one in record["characters"] if one["seconds"] is not None]
    assert times == sorted(times) and times
    assert json.loads((take.folder / "alignment.json").read_text()) == record
    sung = [
        (word["text"], word["seconds"])
        for word in record["words"]
        if word["seconds"] is not None and word["seconds"] >= 0
    ]
    assert sung, "nothing is sung in the continuation"
    back = [
        (piece.text.strip(), piece.seconds)
        for piece in parse_lrc((take.folder / "alignment.lrc").read_text())
    ]
    assert [text for text, _ in back if text] == [text for text, _ in sung]
    for (_, at), (_, there) in zip([piece for piece in back if piece[0]], sung, strict=True):
        assert at == pytest.approx(there, abs=0.006)
    assert Image.open(take.folder / "alignment.png").size[0] > 800


def test_what_cannot_be_aligned_is_named(made: tuple[Path, Take], tmp_path: Path) -> None:
    folder, take = made
    deaf = make_tiny_model(tmp_path / "deaf")
    other = make_tiny_model(tmp_path / "other", 1, {"attention_order": 6, "depth": 5, "lyrics": LYRICS})
    request = take.info.head.request.model_copy(update={"lyrics": ""})
    (silent,) = run_request(TorchBackend(load_model(folder)), request, folder=tmp_path)
    for arguments, message in (
        ((take.folder, "--model", deaf), "has no layer that tells which character is sung"),
        ((take.folder, "--model", other), "was made with other weights than those of"),
        ((silent.folder,), "was made without lyrics; there is nothing to align"),
        ((tmp_path / "nowhere",), "is not a take's folder"),
    ):
        done = run(*arguments)
        assert done.exit_code == 2
        assert message in done.stderr
