"""Ways of sampling a lower level's windows side by side, compared by what is heard where they meet.

The codes above are those of real songs, so nothing but the windows differs. Every plan is measured at its own seams,
and the sequential take at the same places: the seam metric is the ratio of the two.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.analysis.seams import clicks, spectral_jumps
from engine.backends.protocol import Backend
from engine.errors import TooShort
from engine.evaluation.data import Song
from engine.request import Frozen, Sampling, Style
from engine.sampling.decoding import Decoder, fades_of
from engine.sampling.plan import Plan, Window, hop_tokens, level_windows, part_of_window, strand_windows
from engine.sampling.scheduler import Scheduler, Setting, TakeInput

SEED = 4
PRIME_SECONDS = 3.0


@dataclass(frozen=True)
class Way:
    """One way of cutting a level into windows. ``strand`` and ``overlap``: as in
    :class:`engine.request.LevelSampling`; ``fade``: whether what overlaps is cross-faded, as it is in a take, or cut.
    """

    name: str
    strand: int | None = None
    overlap: float = 0.0
    fade: bool = True


WAYS = (
    Way("sequential"),
    Way("wavefront, strands of 4", 4),
    Way("two-phase", 2),
    Way("no left context", 1),
    Way("no left context, 1/16 to warm up", 1, 1 / 16, False),
    Way("no left context, 1/16 cross-faded", 1, 1 / 16),
    Way("no left context, 1/8 cross-faded", 1, 1 / 8),
    Way("two-phase, 1/16 cross-faded", 2, 1 / 16),
)


class WayRow(Frozen):
    """A way measured over all songs. ``jump_db``: mean spectral jump at the seams; ``same_places_db``: of the
    sequential take there; ``metric``: the first over the second; ``elsewhere_db``: of this take away from seams;
    ``real_db``: of the song there; ``click_db``: see :func:`engine.analysis.seams.clicks`; ``speed``: tokens a second
    over the sequential plan's, in the same run."""

    level: int
    name: str
    seams: int
    jump_db: float
    same_places_db: float
    real_db: float
    elsewhere_db: float
    click_db: float
    metric: float
    tokens_per_second: float
    speed: float


@dataclass(frozen=True, eq=False)
class Made:
    """One song sampled in one way: audio float32 [T] from the seam with the prime on, seams in samples of it."""

    audio: NDArray[np.float32]
    seams: tuple[int, ...]
    tokens: int
    seconds: float


class Bench:
    """One song at one level: its prime's codes are known, and all codes above."""

    def __init__(self, backend: Backend, song: Song, level: int, prime: int, frames: int, lanes: int) -> None:
        self.backend, self.level, self.lanes = backend, level, lanes
        config = backend.config
        grain = config.hops[config.top]
        self.seam = prime // grain * grain
        self.frames = frames // grain * grain
        whole = song.samples[: self.seam + self.frames]
        self.real = whole[self.seam :]
        self.codes = backend.encode(whole, (level, level + 1))
        self.prior = config.priors[level]
        self.style = Style(
            artists={song.artist: 1.0} if song.artist in config.artists else {},
            genres={name: 1.0 for name in song.genres if name in config.genres},
        )

    @property
    def hop(self) -> int:
        """Samples per token."""
        return self.backend.config.hops[self.level]

    def windows(self, way: Way) -> tuple[Window, ...]:
        """The windows of a way."""
        known, total = self.seam // self.hop, self.codes[self.level].size
        assert self.prior.upper is not None
        ratio, n_ctx = self.prior.upper.ratio, self.prior.n_ctx
        hop = hop_tokens(n_ctx, Sampling().level(self.level).hop_fraction, ratio)
        if way.strand is None:
            return level_windows(self.level, known, total, n_ctx, hop, ratio)
        overlap = part_of_window(n_ctx, way.overlap, ratio)
        return strand_windows(self.level, known, total, n_ctx, hop, ratio, way.strand, overlap)

    def make(self, way: Way) -> Made:
        """The song in one way."""
        windows = self.windows(way)
        above, total = self.codes[self.level + 1], self.codes[self.level].size
        known = {self.level: self.codes[self.level][: self.seam // self.hop], self.level + 1: above}
        counts = [0] * self.level + [total, above.size]
        plan = Plan(self.level, tuple(counts), tuple(counts), ((),) * self.level + (windows, ()))
        setting = Setting(Sampling(), (self.style,), (total * self.hop, 0))
        scheduler = Scheduler(self.backend, plan, setting, [TakeInput(SEED, known)], self.lanes)
        state = scheduler.levels[self.level]
        began = time.perf_counter()
        while not state.finished:
            list(scheduler.work(self.level))
        seconds = time.perf_counter() - began
        fades = fades_of(windows) if way.fade else ()
        decoder = Decoder(self.backend, self.level, total, self.seam, self.frames, self.frames, fades)
        leads = {at: lead[0] for at, lead in state.leads.items()}
        audio = np.concatenate([chunk.samples for chunk in decoder.take(state.codes[0], total, leads)])
        meet = [window for window in windows if window.index % (way.strand or 1) == 0]
        middle = [window.first_new - (window.overlap // 2 if way.fade else 0) for window in meet]
        return Made(audio, self._places(middle[1:]), sum(w.tokens for w in windows), seconds)

    def _places(self, tokens: Sequence[int]) -> tuple[int, ...]:
        return tuple(token * self.hop - self.seam for token in tokens)


def compare_ways(
    backend: Backend,
    songs: Sequence[Song],
    level: int,
    *,
    prime_seconds: float = PRIME_SECONDS,
    seconds: float = 6.0,
    lanes: int = 8,
    ways: Sequence[Way] = WAYS,
    step: Callable[[], None] = lambda: None,
) -> tuple[list[WayRow], dict[str, Made]]:
    """A row per way, and the first song in every way. ``step`` is called after each song and way.

    The first of ``ways`` is the sequential one that the others are held against.
    """
    rate = backend.config.rate
    found: dict[str, list[NDArray[np.float64]]] = {way.name: [] for way in ways}
    spent = {way.name: (0, 0.0) for way in ways}
    shown: dict[str, Made] = {}
    for song in songs:
        bench = Bench(backend, song, level, round(prime_seconds * rate), round(seconds * rate), lanes)
        sequential = bench.make(ways[0])
        for way in ways:
            made = sequential if way is ways[0] else bench.make(way)
            shown.setdefault(way.name, made)
            tokens, before = spent[way.name]
            spent[way.name] = tokens + made.tokens, before + made.seconds
            found[way.name].append(_measure(made, sequential, bench.real, rate))
            step()
    rows = []
    base = spent[ways[0].name][0] / spent[ways[0].name][1]
    for way in ways:
        figures = np.concatenate(found[way.name], 1)
        if not np.isfinite(figures).all(0).any():
            raise TooShort(
                f"takes of {seconds:g} s hold no place where windows of level {level} meet; measure longer ones"
            )
        at, same, real, click, elsewhere = np.nanmean(figures, 1)
        speed = spent[way.name][0] / spent[way.name][1]
        rows.append(
            WayRow(
                level=level,
                name=way.name,
                seams=figures.shape[1],
                jump_db=at,
                same_places_db=same,
                real_db=real,
                elsewhere_db=elsewhere,
                click_db=click,
                metric=at / same,
                tokens_per_second=speed,
                speed=speed / base,
            )
        )
    return rows, shown


def _measure(made: Made, sequential: Made, real: NDArray[np.float32], rate: int) -> NDArray[np.float64]:
    """Figures of every seam, [5, seams]: the jump here, in the sequential take, in the song; clicks; elsewhere."""
    places = made.seams
    # Places between the seams, as many as there are seams, at no fixed distance from them.
    rng = np.random.default_rng(len(places))
    away = [place + int(rng.integers(rate // 50, rate // 10)) for place in places]
    return np.stack(
        [
            spectral_jumps(made.audio, rate, places),
            spectral_jumps(sequential.audio, rate, places),
            spectral_jumps(real, rate, places),
            clicks(made.audio, rate, places),
            spectral_jumps(made.audio, rate, away),
        ]
    )
