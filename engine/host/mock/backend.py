"""A model without weights behind the backend protocol: numpy, deterministic, at a pace that is set."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from engine.backends.protocol import Codes, Stopped, WindowInput, never
from engine.codec.config import CodecConfig
from engine.errors import NoMemory
from engine.host.mock.options import DEFAULT_MODEL, MockModels
from engine.host.mock.tones import BINS, Score, hear, next_codes, score_of, sound
from engine.prior.config import PriorConfig, PulseConfig, TimeConfig, UpperConfig
from engine.request import LevelSampling, Style
from engine.store.config import ModelConfig

DOWNS = (5, 2, 2)  # tokens of 32, 128 and 512 samples: fewer to work out than a real model's
WINDOW_TOKENS = 512  # 0.37, 1.5 and 5.9 seconds
PIECE_SAMPLES = 4096
_STYLES = {
    DEFAULT_MODEL: (
        ("unknown", "neon_atlas", "paper_lanterns"),
        # the starter's genres, so that every preset can be tried
        (
            *("unknown", "ambient", "bossa", "disco", "drum_and_bass", "dub", "funk", "hip_hop", "house"),
            *("lofi", "reggae", "rock", "synthwave", "techno", "trance", "trap"),
        ),
    ),
    "mock-2": (("unknown", "salt_choir"), ("unknown", "waltz", "reggae")),
}
_PACES = (1.0, 2.0, 4.0)  # how much faster a level is than the bottom one

Tell = Callable[[str, dict[str, object]], None]


def mock_config(name: str) -> ModelConfig:
    """The shapes of a mock model. Raises NoModel and NoMemory for those that are not there or do not fit."""
    MockModels().require(name)
    if name == "mock-huge":
        raise NoMemory("the model 'mock-huge' needs 512.0 GB and less is free; take 'mock' or 'mock-2'")
    artists, genres = _STYLES.get(name, _STYLES[DEFAULT_MODEL])
    codec = CodecConfig(downs=DOWNS, bins=BINS)
    labels = {"artists": len(artists), "genres": len(genres)}
    shape = {"n_ctx": WINDOW_TOKENS, "bins": BINS, "width": 1, "depth": 1, "m_attn": 1.0} | labels
    upper = UpperConfig(bins=BINS, width=1, depth=1)
    top = {"time": TimeConfig(min_seconds=1.0, max_seconds=600.0), "pulse": PulseConfig()}
    return ModelConfig(
        name=name,
        codec=codec,
        priors=tuple(
            PriorConfig(
                level=level, hop=hop, **(shape | (top if level == codec.levels - 1 else {"upper": upper}))
            )
            for level, hop in enumerate(codec.hops)
        ),
        artists=artists,
        genres=genres,
    )


class MockBackend:
    """A mock model, loaded. ``speed``: see :class:`engine.host.mock.MockOptions`; ``tell``: hears of every window and
    of all that is sampled."""

    runtime = "mock"

    def __init__(self, name: str, speed: float, tell: Tell) -> None:
        self.config = mock_config(name)
        self.hash = hashlib.sha256(f"segue {name} 1".encode()).hexdigest()
        self.files: dict[str, str] = {}
        self._speed, self._tell = speed, tell

    def check_style(self, style: Style) -> None:
        """Raise NoStyle if the model lacks a label of ``style``."""
        names = self.config.vocabulary(self.config.top)
        names.artist_weights(style, strict=True)
        names.genre_weights(style, strict=True)

    def encode(self, samples: NDArray[np.float32], levels: tuple[int, ...]) -> dict[int, Codes]:
        """Codes of mono samples [T]; lower levels have those of the top, each as often as its token is longer."""
        hops, top = self.config.hops, self.config.top
        heard = hear(samples, hops[top], self.config.rate)
        found = {}
        for level in levels:
            codes = np.zeros(samples.size // hops[level], np.int64)
            repeated = np.repeat(heard, hops[top] // hops[level])[: codes.size]
            codes[: repeated.size] = repeated
            found[level] = codes
        return found

    def runner(self, level: int, lanes: int) -> MockRunner:
        """A new sampling state of one level."""
        return MockRunner(self.config, level, lanes, self._speed * _PACES[level], self._tell)

    def decode_grid(self, level: int) -> int:
        """Tokens per decoded piece."""
        return PIECE_SAMPLES // self.config.hops[level]

    def decode_margin(self, level: int) -> int:
        """Tokens needed on either side of a piece: the one before it is."""
        return 1

    def decode_piece(self, codes: Codes, level: int, piece: int, total: int) -> NDArray[np.float32]:
        """Samples [frames] of one piece."""
        hop, first = self.config.hops[level], piece * self.decode_grid(level)
        stop = min(total, first + self.decode_grid(level))
        before = codes[first - 1] if first else 0
        given = np.concatenate(([before], codes[first:stop]))
        return sound(given, level, first * hop, hop, self.config.rate)


class MockRunner:
    """The top level follows the score, the others the level above; ``speed``: seconds of sound per second."""

    def __init__(self, config: ModelConfig, level: int, lanes: int, speed: float, tell: Tell) -> None:
        self._config, self._level, self._lanes, self._speed, self._tell = config, level, lanes, speed, tell
        self._hop = config.hops[level]
        self._scores: tuple[Score, ...] = ()
        self._window: WindowInput | None = None
        self._at = 0

    def begin(self, window: WindowInput, stopped: Stopped = never) -> None:
        """Take in what the windows start from."""
        self._window, self._at = window, window.prefix.shape[1]
        self._scores = tuple(score_of(style, window.pulse, self._config.rate) for style in window.styles)
        tokens = sorted({offset // self._hop + self._at for offset in window.offsets})
        self._tell("window", {"level": self._level, "from": tokens, "lanes": self._lanes})

    def step(self, previous: Codes | None) -> NDArray[np.float32]:
        """Logits float32 [N, bins] that leave no doubt."""
        tokens = self._next(previous, np.full((self._lanes, 1), 0.5), LevelSampling())
        logits = np.full((self._lanes, self._config.bins), -30.0, np.float32)
        np.put_along_axis(logits, tokens, np.float32(0.0), axis=1)
        return logits

    def sample(self, previous: Codes | None, noise: NDArray[np.float64], settings: LevelSampling) -> Codes:
        """The next tokens of every lane, after as long as they take."""
        assert self._window is not None
        tokens = len(set(self._window.offsets)) * noise.shape[1]  # takes of one request cost no more than one
        time.sleep(tokens * self._hop / self._config.rate / self._speed)
        self._tell("sampled", {"level": self._level, "tokens": tokens})
        return self._next(previous, noise, settings)

    def _next(self, previous: Codes | None, noise: NDArray[np.float64], settings: LevelSampling) -> Codes:
        window = self._window
        assert window is not None
        count = noise.shape[1]
        places = np.arange(self._at, self._at + count)
        self._at += count
        if window.upper is not None:
            ratio = self._config.hops[self._level + 1] // self._hop
            return np.ascontiguousarray(window.upper[:, places // ratio])
        tokens = np.empty((self._lanes, count), np.int64)
        for lane, score in enumerate(self._scores):
            at = window.offsets[lane] + np.arange(places[0] - 1, places[-1] + 1) * float(self._hop)
            before = None if previous is None else int(previous[lane])
            tokens[lane] = next_codes(score, at, before, noise[lane], min(1.0, settings.temperature / 2))
        return tokens
