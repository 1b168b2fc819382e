"""Which genre a piece of audio is in, by a classifier that is trained on the songs of a corpus alone.

Multinomial logistic regression on the mean and the spread over time of :mod:`engine.evaluation.features`, loudness
taken out. It is small on purpose: what it is right about can be heard in levels, spectrum and rhythm. Every piece is
learnt twice, as it is and dulled: a genre is what survives that. What comes out of a codec is judged by another one,
which learnt the same songs through that codec.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import signal as sps

from engine.audio.durable import write_durably
from engine.errors import SegueError
from engine.evaluation.data import spread
from engine.evaluation.features import HEARD_SECONDS, second_features
from engine.training.data import UNKNOWN, Source, read_blocks

VERSION = 1
PIECE_SECONDS = 8.0
LEVEL = 0.1  # root mean square of what is heard
PIECES = 4  # of every song that is trained or tested on
CODED_PIECES = 2  # of them, where each is coded first, which takes time
DECAY = 3e-3  # weight of the squared weights beside the mean cross-entropy
STEPS = 300
MIN_GENRES, MIN_SONGS = 2, 3  # songs of every genre: two to learn from, one to test on
TESTED = 5  # every fifth song of a genre

DULL_HZ = (1500.0, 10000.0)  # where the highs of dulled pieces end
NOISE_DB = (-40.0, -15.0)  # and their noise, below the piece


@dataclass(frozen=True, eq=False)
class StyleJudge:
    """A trained classifier. ``weights`` [genres, d], ``bias`` [genres] on features less ``centre`` [d] over
    ``scale`` [d]. ``accuracy``: share 0..1 of pieces of songs it was not trained on that it gets right, ``tested`` how
    many; by chance it would be ``chance``, the share of the most frequent genre."""

    genres: tuple[str, ...]
    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    centre: NDArray[np.float64]
    scale: NDArray[np.float64]
    accuracy: float
    chance: float
    tested: int
    songs: int

    def name(self, samples: NDArray[np.float32], rate: int) -> str:
        """The genre of ``samples`` [T], at least 2 s."""
        return self.genres[int(self.scores(piece_features(samples, rate)[None])[0].argmax())]

    def scores(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log-odds [n, genres] of feature rows [n, d]."""
        return ((rows - self.centre) / self.scale) @ self.weights.T + self.bias


@dataclass(frozen=True, eq=False)
class Channel:
    """What pieces go through before they are heard: ``carry`` makes [T] of [T]; ``key`` names it in the cache."""

    key: str
    carry: Callable[[NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Judges:
    """A classifier of songs as they are, and one of sound that has been through the measured codec."""

    plain: StyleJudge
    coded: StyleJudge


def piece_features(samples: NDArray[np.float32], rate: int) -> NDArray[np.float64]:
    """What the classifier hears of one piece [T], all pieces as loud as one another: mean and standard deviation over
    its seconds, float64 [128]."""
    level = float(np.sqrt((samples.astype(np.float64) ** 2).mean()))
    rows = second_features((samples * (LEVEL / max(level, 1e-6))).astype(np.float32), rate)
    return np.concatenate([rows.mean(axis=0), rows.std(axis=0)])


def fit(
    rows: NDArray[np.float64], labels: NDArray[np.int64], classes: int
) -> tuple[NDArray[np.float64], ...]:
    """Weights [classes, d], bias [classes], centre [d] and scale [d] for rows [n, d] of ``labels`` [n]."""
    centre, scale = rows.mean(axis=0), np.maximum(rows.std(axis=0), 1e-3)
    x = torch.from_numpy((rows - centre) / scale)
    y = torch.from_numpy(labels)
    weights = torch.zeros(classes, x.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(classes, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights, bias], max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = torch.nn.functional.cross_entropy(x @ weights.T + bias, y) + DECAY * (weights**2).sum()
        value.backward()
        return value

    optimizer.step(loss)
    return weights.detach().numpy(), bias.detach().numpy(), centre, scale


def split_songs(sources: Sequence[Source]) -> tuple[list[Source], list[Source]]:
    """Songs to learn from and to test on: of each genre every fifth, one at least, in the order of a hash."""
    learnt, tested = [], []
    for genre in sorted({source.genres[0] for source in sources}):
        own = sorted((s for s in sources if s.genres[0] == genre), key=lambda s: _digest(s.name))
        tested += own[::TESTED]
        learnt += [source for place, source in enumerate(own) if place % TESTED]
    return learnt, tested


def usable(sources: Sequence[Source]) -> list[Source]:
    """Sources of genres that have enough songs. Empty where fewer than two genres do."""
    count: dict[str, int] = {}
    for source in sources:
        count[source.genres[0]] = count.get(source.genres[0], 0) + 1
    genres = {genre for genre, songs in count.items() if songs >= MIN_SONGS and genre != UNKNOWN}
    return [s for s in sources if s.genres[0] in genres] if len(genres) >= MIN_GENRES else []


def train_judge(
    sources: Sequence[Source],
    rate: int,
    cache: Path | None = None,
    tick: Callable[[], None] = lambda: None,
    channel: Channel | None = None,
) -> StyleJudge:
    """A classifier of the genres of ``sources`` (of :func:`usable`), heard through ``channel``, or the one in the
    folder ``cache`` if it was trained on the same files; ``tick`` after each file. Deterministic.
    """
    path = None if cache is None else cache / f"style-{_key(sources, rate, channel)}.npz"
    if path is not None and path.is_file() and (known := _read(path)):
        for _ in sources:
            tick()
        return known
    judge = _train(sources, rate, tick, channel)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(judge, path)
    return judge


def _train(
    sources: Sequence[Source], rate: int, tick: Callable[[], None], channel: Channel | None
) -> StyleJudge:
    genres = tuple(sorted({source.genres[0] for source in sources}))
    learnt, tested = split_songs(sources)
    rows, labels = _rows(learnt, rate, genres, tick, channel, dull=channel is None)
    unseen, wanted = _rows(tested, rate, genres, tick, channel)
    weights, bias, centre, scale = fit(rows, labels, len(genres))
    judge = StyleJudge(genres, weights, bias, centre, scale, 0.0, 0.0, len(wanted), len(sources))
    right = float((judge.scores(unseen).argmax(axis=1) == wanted).mean())
    chance = float(np.bincount(wanted).max() / len(wanted))
    return StyleJudge(genres, weights, bias, centre, scale, right, chance, len(wanted), len(sources))


def _rows(
    songs: Sequence[Source],
    rate: int,
    genres: Sequence[str],
    tick: Callable[[], None],
    channel: Channel | None,
    dull: bool = False,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    rows, labels = [], []
    frames = round(PIECE_SECONDS * rate)
    rng = np.random.default_rng(VERSION)
    for song in songs:
        for piece in _pieces(song, rate, frames, PIECES if channel is None else CODED_PIECES):
            heard = piece if channel is None else channel.carry(piece)
            ways = [heard, dulled(heard, rate, rng)] if dull else [heard]
            rows += [piece_features(way, rate) for way in ways]
            labels += [genres.index(song.genres[0])] * len(ways)
        tick()
    return np.stack(rows), np.array(labels)


def dulled(piece: NDArray[np.float32], rate: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """A piece [T] without its highs and with noise, each as much as ``rng`` says."""
    edge = min(float(np.exp(rng.uniform(*np.log(DULL_HZ)))), 0.45 * rate)
    low = sps.sosfilt(sps.butter(4, edge, fs=rate, output="sos"), piece)
    level = float(np.sqrt((low**2).mean())) * 10.0 ** (rng.uniform(*NOISE_DB) / 20.0)
    return (low + rng.normal(0.0, level, piece.size)).astype(np.float32)


def _pieces(song: Source, rate: int, frames: int, most: int) -> list[NDArray[np.float32]]:
    """``most`` pieces of up to ``frames`` samples spread over a song; none of one that cannot be read, or too short."""
    try:
        samples = np.concatenate([np.zeros(0, np.float32), *read_blocks(song.path, rate)])
    except SegueError:
        return []
    length = min(frames, samples.size)
    if length < HEARD_SECONDS * rate:
        return []
    count = most if samples.size > length else 1
    return [samples[start : start + length] for start in spread(samples.size - length, count, 1)]


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _key(sources: Sequence[Source], rate: int, channel: Channel | None) -> str:
    rows = [(s.name, s.genres, s.path.stat().st_size, s.path.stat().st_mtime_ns) for s in sources]
    through = [] if channel is None else [channel.key]
    return hashlib.sha256(json.dumps([VERSION, rate, sorted(rows), *through]).encode()).hexdigest()[:16]


_ARRAYS = ("weights", "bias", "centre", "scale")


def _write(judge: StyleJudge, path: Path) -> None:
    facts = {name: getattr(judge, name) for name in ("genres", "accuracy", "chance", "tested", "songs")}
    content = io.BytesIO()
    np.savez(content, facts=np.array(json.dumps(facts)), **{n: getattr(judge, n) for n in _ARRAYS})
    write_durably(path, content.getvalue())


def _read(path: Path) -> StyleJudge | None:
    try:
        with np.load(path, allow_pickle=False) as stored:
            facts = json.loads(str(stored["facts"]))
            arrays = {name: stored[name] for name in _ARRAYS}
    except (OSError, ValueError, KeyError, BadZipFile):
        return None  # it is trained again
    return StyleJudge(**{**facts, "genres": tuple(facts["genres"])}, **arrays)
