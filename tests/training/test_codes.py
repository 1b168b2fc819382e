"""The corpus as codes, and the windows cut from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from engine.codec.vqvae import Codec
from engine.errors import NoFile
from engine.training.cache import AudioCache
from engine.training.codec_trainer import load_codec
from engine.training.codes import CodedSong, CodeIndex, CodeStore, encode_corpus, read_codes
from engine.training.files import write_bytes, write_json
from engine.training.windows import WindowSampler, unigram_bits
from tests.training.sounds import TINY_CODEC, tone_cache


def untrained_codec(folder: Path, seed: int = 1) -> Codec:
    """A codec run folder with random weights."""
    from safetensors.torch import save

    torch.manual_seed(seed)
    codec = Codec(TINY_CODEC).eval()
    for level in codec.levels:
        level.bottleneck.codebook.normal_(std=0.1)
    write_bytes(folder / "codec.safetensors", save(codec.state_dict()))
    write_json(folder / "codec.json", TINY_CODEC.model_dump(mode="json"))
    return codec


def counting_store(folder: Path) -> CodeStore:
    """Two songs whose codes say where they are: the number of the top-level token, plus 500 in the second song."""
    songs = [
        CodedSong(name="a", artist="ann", genres=("dub", "funk"), split="train", start=0, tokens=400),
        CodedSong(name="b", artist="bob", genres=("dub",), split="held-out", start=400, tokens=6),
    ]
    for level, ratio in ((0, 16), (1, 4), (2, 1)):
        flat = np.concatenate([np.repeat(np.arange(s.tokens) + 500 * n, ratio) for n, s in enumerate(songs)])
        np.save(folder / f"level_{level}.npy", flat.astype(np.uint16))
    index = CodeIndex(
        keys=dict.fromkeys(range(3), "k"), rate=8000, bins=2048, hops=(8, 32, 128), songs=tuple(songs)
    )
    return CodeStore(folder, index)


@pytest.fixture
def cache(tmp_path: Path) -> AudioCache:
    return tone_cache(tmp_path, 3)


def test_stored_codes_are_those_of_the_whole_songs(cache: AudioCache, tmp_path: Path) -> None:
    codec = untrained_codec(tmp_path / "codec")
    counted: list[tuple[int, int]] = []
    store = encode_corpus(
        cache, tmp_path / "cache", tmp_path / "codec", tmp_path / "codes", (0, 2), jobs=2,
        progress=lambda done, total: counted.append((done, total)),
    )  # fmt: skip
    assert sorted(counted) == [(number, 6) for number in range(1, 7)]
    for song, source in zip(store.index.songs, cache.index.songs, strict=True):
        assert (song.name, song.split, song.tokens) == (source.name, source.split, source.frames // 8)
        expected = codec.encode(torch.from_numpy(cache.audio(source)), (0, 2))
        for level in (0, 2):
            assert np.array_equal(store.codes(song, level), expected[level].numpy())
    with pytest.raises(
        NoFile, match="has no codes of level 1; make them with: segue train encode DATA --levels 1"
    ):
        read_codes(tmp_path / "codes", (1, 2))


def test_encoding_goes_on_where_it_stopped_and_starts_over_for_another_codec(
    cache: AudioCache, tmp_path: Path
) -> None:
    untrained_codec(tmp_path / "codec")
    folder = tmp_path / "codes"

    class Stopped(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise Stopped

    def encode(progress=None) -> CodeStore:
        return encode_corpus(cache, tmp_path / "cache", tmp_path / "codec", folder, (2,), progress=progress)

    with pytest.raises(Stopped):
        encode(stop)
    with pytest.raises(
        NoFile, match=r"there are no codes in '.*codes'; make them with: segue train encode DATA"
    ):
        read_codes(folder, (2,))
    counted: list[int] = []
    first = encode(lambda done, total: counted.append(done))
    assert counted == [3]
    counted.clear()
    encode(lambda done, total: counted.append(done))
    assert counted == []
    before = first.codes(first.index.songs[0], 2).copy()
    untrained_codec(tmp_path / "codec", seed=2)
    second = encode()
    expected = load_codec(tmp_path / "codec").encode(
        torch.from_numpy(cache.audio(cache.index.songs[0])), (2,)
    )[2]
    assert np.array_equal(second.codes(second.index.songs[0], 2), expected.numpy())
    assert not np.array_equal(before, expected.numpy())


@pytest.mark.parametrize("level", [0, 1])
def test_upper_codes_line_up_with_a_window(tmp_path: Path, level: int) -> None:
    store = counting_store(tmp_path)
    codes, labels, upper, *_ = WindowSampler(store, level, 64, "train", 0, store.names).batch(0, 32)
    assert upper is not None
    assert upper.shape == (32, 16)
    if level == 1:  # its upper level is the top, whose code is its own place
        assert torch.equal(upper.repeat_interleave(4, dim=1), codes)
    assert torch.equal(
        upper[:, ::4] if level == 0 else upper, codes.view(32, -1, 16 if level == 0 else 4)[:, :, 0]
    )
    hop = store.index.hops[level]
    assert bool((labels.offset % (hop * 4) == 0).all())
    assert torch.equal(labels.offset // 128, codes[:, 0])
    assert labels.total.tolist() == [400 * 128] * 32


def test_labels_are_weights_and_are_sometimes_forgotten(tmp_path: Path) -> None:
    store = counting_store(tmp_path)
    assert store.names == (("unknown", "ann"), ("unknown", "dub", "funk"))
    known = WindowSampler(store, 2, 64, "train", 0, store.names).batch(0, 4)[1]
    assert known.artists.tolist() == [[0.0, 1.0]] * 4
    assert known.genres.tolist() == [[0.0, 0.5, 0.5]] * 4
    sampler = WindowSampler(store, 2, 64, "train", 0, store.names, unknown_share=0.1)
    artists = torch.cat([sampler.batch(step, 50)[1].artists for step in range(40)])
    assert artists.sum(1).tolist() == [1.0] * 2000
    assert float(artists[:, 0].mean()) == pytest.approx(0.1, abs=0.03)


@pytest.mark.parametrize("level", [1, 2])
def test_ranks_share_out_the_windows_that_one_process_would_draw(tmp_path: Path, level: int) -> None:
    store = counting_store(tmp_path)
    sampler = WindowSampler(store, level, 64, "train", 0, store.names, unknown_share=0.3)
    whole, parts = sampler.batch(5, 8), [sampler.batch(5, 4, rank, world=2) for rank in range(2)]
    assert torch.equal(torch.cat([part.codes for part in parts]), whole.codes)
    assert torch.equal(torch.cat([part.labels.artists for part in parts]), whole.labels.artists)
    assert torch.equal(torch.cat([part.labels.offset for part in parts]), whole.labels.offset)


def test_top_windows_begin_songs_often_enough(tmp_path: Path) -> None:
    store = counting_store(tmp_path)
    sampler = WindowSampler(store, 2, 64, "train", 0, store.names)
    starts = torch.cat([sampler.batch(step, 50)[1].offset for step in range(40)]) // 128
    assert float((starts == 0).float().mean()) == pytest.approx(0.1, abs=0.03)
    assert int(starts.max()) == 400 - 64
    assert len(starts.unique()) > 300


def test_a_short_song_is_repeated_like_a_loop(tmp_path: Path) -> None:
    store = counting_store(tmp_path)
    codes, labels, upper, *_ = WindowSampler(store, 1, 64, "held-out", 0, store.names).batch(3, 2)
    assert upper is not None
    one_round = torch.arange(500, 506).repeat_interleave(4)
    assert torch.equal(codes[0], one_round.repeat(3)[:64])
    assert torch.equal(upper[0].repeat_interleave(4), codes[0])
    assert labels.total.tolist() == [64 * 32] * 2
    assert labels.artists.tolist() == [[1.0, 0.0]] * 2  # bob is not in the training split


def test_unigram_bits_of_known_counts(tmp_path: Path) -> None:
    flat = np.array([0, 0, 0, 0, 1, 1, 2, 3] * 1000 + [0, 1, 2, 3] * 500, np.uint16)
    np.save(tmp_path / "level_0.npy", flat)
    songs = (
        CodedSong(name="a", artist="x", genres=("y",), split="train", start=0, tokens=8000),
        CodedSong(name="b", artist="x", genres=("y",), split="held-out", start=8000, tokens=2000),
    )
    store = CodeStore(tmp_path, CodeIndex(keys={0: "k"}, rate=8, bins=4, hops=(1,), songs=songs))
    assert unigram_bits(store, 0) == pytest.approx((1 + 2 + 3 + 3) / 4, abs=0.001)
