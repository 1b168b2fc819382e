"""One level's prior by ONNX Runtime: caches that stay where they are and are updated there, bindings made once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from engine.backends.onnx_caches import NAMES, Array, WindowCaches, masks, show
from engine.backends.protocol import Codes, Stopped, WindowInput, never
from engine.prior.config import PriorConfig
from engine.prior.patterns import Kind
from engine.prior.pulse import SongPulse, pulse_rows
from engine.prior.vocabulary import LabelVocabulary
from engine.request import LevelSampling
from engine.sampling.draw import sample_here

Pass = Callable[[], None]


@dataclass(frozen=True)
class LevelSessions:
    """The three graphs of a level's prior, loaded."""

    step: onnxruntime.InferenceSession
    row: onnxruntime.InferenceSession
    conditions: onnxruntime.InferenceSession


def lanes_alike(window: WindowInput) -> bool:
    """Whether all lanes start from the same, as several takes of one request do in their first window."""
    rows = [array for array in (window.prefix, window.upper, window.lyrics) if array is not None]
    return (
        len(set(window.offsets)) == 1
        and all(style == window.styles[0] for style in window.styles)
        and all(bool((array == array[:1]).all()) for array in rows)
    )


class GraphState:
    """Inputs and outputs of one graph for a number of lanes, bound by address; nothing is copied to run it.

    Caches lie elsewhere for every column and every parity of the row, so there is a binding for each of those,
    made when it is first wanted.
    """

    def __init__(self, session: onnxruntime.InferenceSession, caches: WindowCaches, length: int) -> None:
        self.session, self.caches, self.length = session, caches, length
        self.config, lanes = caches.config, caches.lanes
        self.block_ctx = self.config.shape.block_ctx  # made anew whenever it is asked for
        self.wanted = {node.name for node in session.get_inputs()}
        self.logits = np.zeros((lanes, self.config.bins), np.float32)
        self.inputs: dict[str, NDArray[Any]] = {}
        self.seen: dict[str, tuple[NDArray[np.int32], NDArray[np.int32]]] = {}
        for name in ("rows", "columns", "dense"):
            if f"seen_{name}" in self.wanted:
                each = lanes * length if name == "columns" else lanes
                self.seen[name] = np.zeros(each, np.int32), np.zeros(1, np.int32)
                self.inputs |= {f"seen_{name}": self.seen[name][0], f"total_{name}": self.seen[name][1]}
        self.masks = masks(self.config, length)
        self.inputs |= {f"mask_{name}": mask for name, mask in self.masks.items()}
        self.news = caches.news(length)
        self.split = {name: caches.split(new) for name, new in self.news.items()}
        self.row_kept = self.split.pop(NAMES[Kind.PREVIOUS_ROW], None)
        self._passes: dict[tuple[int, int], Pass] = {}

    def add(self, inputs: dict[str, NDArray[Any]]) -> None:
        """Inputs that keep their address; before the first pass."""
        self.inputs |= inputs

    def run(self, first: int) -> None:
        """One pass over the positions from ``first`` on; their keys and values are in the caches after it."""
        row, column = divmod(first, self.block_ctx)
        # Attention to a column takes up one of the new positions, to a row or to everything all of them.
        for name, held in (("rows", column), ("columns", row), ("dense", first)):
            if name in self.seen:
                seen, total = self.seen[name]
                last = held if name == "columns" else held + self.length - 1
                seen.fill(last)
                total.fill(last + 1)
        if self.masks:
            show(self.masks, self.config, first)
        place = (column, self.caches.before(row))
        found = self._passes.get(place)
        if found is None:
            found = self._passes[place] = self._bound(*place)
        found()
        if self.split:
            self.caches.put(first, self.split)

    def _bound(self, column: int, before: int) -> Pass:
        binding = self.session.io_binding()

        def bind(put: Callable[..., None], name: str, array: NDArray[Any]) -> None:
            put(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)

        for name, array in self.inputs.items():
            if name in self.wanted:
                bind(binding.bind_input, name, array)
        for name, view, inside in self.caches.given(self.length, column, before):
            bind(binding.bind_input, name, view)
            if inside:
                bind(binding.bind_output, f"new_{name}", view)
        for name, new in self.news.items():
            for place, layer in enumerate(new):
                bind(binding.bind_output, f"new_{name}.{place}", layer)
        bind(binding.bind_output, "logits", self.logits)
        run, kept = self.session.run_with_iobinding, self.row_kept
        if kept is None:
            return lambda: run(binding)
        places = self.caches.row_places(column, before, self.length)

        def run_and_keep() -> None:
            run(binding)
            np.copyto(places, kept)

        return run_and_keep


class OnnxPrefill:
    """Conditions and prefill of a window for ``lanes`` lanes: what is in the caches before steps begin.

    Lanes that start from the same are computed once, in a prefill of one lane, and copied: the graphs give a lane the
    same bits in whatever company it is.
    """

    def __init__(
        self,
        row: onnxruntime.InferenceSession,
        conditions: onnxruntime.InferenceSession,
        config: PriorConfig,
        names: LabelVocabulary,
        lanes: int,
    ) -> None:
        self.config, self.names, self.lanes = config, names, lanes
        self.joint, self.first_code = config.joint_lyrics, config.vocabulary - config.bins
        self.conditions = conditions
        self.caches = WindowCaches(config, lanes)
        block, width = config.shape.block_ctx, config.width
        self.added = np.zeros((config.ctx, lanes, width), np.float32)
        self.position = -1  # of the transformer; below 0 before the first window
        self.rows = 0  # of the window, that have passed through
        self.characters = np.zeros((lanes, self.joint), np.int64)
        self.waiting: Array | None = None  # logits that the prefill gave, if it gave any
        self._alone: OnnxPrefill | None = None  # of one lane, for lanes that start from the same
        self.row_inputs: dict[str, NDArray[Any]] = {
            "ids": np.zeros((lanes, block), np.int64),
            "opening": np.zeros((block, 1), np.bool_),
            "start": np.zeros((lanes, 1, width), np.float32),
            "places": np.zeros(block, np.int64),
            "last": np.zeros((), np.int64),
            "added": np.zeros((lanes, block, width), np.float32),
        }
        self.row_graph = GraphState(row, self.caches, block)
        self.row_graph.add(self.row_inputs)

    def begin(self, window: WindowInput, stopped: Stopped = never) -> None:
        """See :class:`engine.backends.protocol.LevelRunner`."""
        if self.lanes > 1 and lanes_alike(window):
            self._begin_once(window, stopped)
            return
        self.prepare(window)
        self.complete(window.prefix, stopped)

    @property
    def nbytes(self) -> int:
        """Bytes of its caches and of what is added to every position."""
        return self.caches.nbytes + self.added.nbytes

    def prepare(self, window: WindowInput) -> None:
        """See :class:`engine.backends.protocol.RowRunner`."""
        found = self._condition(window)
        self.added[:] = 0.0
        if "added" in found:
            music = self.added[self.joint : self.joint + found["added"].shape[1]]
            music[:] = found["added"].swapaxes(0, 1)
        if "lyrics" in found:
            d = found["lyrics"].shape[-1]  # heads may be wider in the graphs, see onnx_weights.head_size
            self.caches.arrays["lyrics"][..., :d] = found["lyrics"]
        if self.joint:
            self.characters[:] = 0 if window.lyrics is None else window.lyrics
        self.row_inputs["start"][:, 0] = found["start"]
        self.position, self.waiting, self.rows = -1, None, 0

    def pass_on(self, prefix: Codes) -> bool:
        """See :class:`engine.backends.protocol.RowRunner`."""
        known = self.joint + prefix.shape[1]
        if (self.rows + 1) * self.config.shape.block_ctx > known:
            return False
        self._pass_row(self._ids(prefix))
        return True

    def complete(self, prefix: Codes, stopped: Stopped = never) -> None:
        """See :class:`engine.backends.protocol.RowRunner`.

        Unless the first position that is to be sampled begins a row, where it would be a whole row's work: the first
        step computes it.
        """
        ids = self._ids(prefix)
        block, total = self.config.shape.block_ctx, ids.shape[1]
        stepped = prefix.shape[1] > 0 and total % block == 0
        while self.rows < total // block + (not stepped):
            if stopped():
                self.position = -1
                return
            self._pass_row(ids)
        self.position, self.waiting = (total - 1, None) if stepped else (total, self.row_graph.logits)

    def _ids(self, prefix: Codes) -> Codes:
        """Ids of the whole sequence, the characters first where the form is joint."""
        ids = prefix + self.first_code
        return np.concatenate((self.characters, ids), 1) if self.joint else ids

    def _pass_row(self, ids: Codes) -> None:
        """Pass the next row of the known ids [N, n] through; leaves the logits behind its last known id."""
        block, total, inputs = self.config.shape.block_ctx, ids.shape[1], self.row_inputs
        first = self.rows * block
        before = ids[:, max(0, first - 1) : first + block - 1]
        shift = 1 if first == 0 else 0
        inputs["ids"][:] = 0
        inputs["ids"][:, shift : shift + before.shape[1]] = before
        inputs["opening"][0] = first == 0
        inputs["places"][:] = np.arange(first, first + block)
        inputs["last"][...] = min(total - first, block - 1)
        inputs["added"][:] = self.added[first : first + block].swapaxes(0, 1)
        self.row_graph.run(first)
        self.rows += 1

    def _begin_once(self, window: WindowInput, stopped: Stopped) -> None:
        if self._alone is None:
            row = self.row_graph.session
            self._alone = OnnxPrefill(row, self.conditions, self.config, self.names, 1)
        alone = self._alone
        first = replace(
            window,
            prefix=window.prefix[:1],
            upper=None if window.upper is None else window.upper[:1],
            styles=window.styles[:1],
            offsets=window.offsets[:1],
            lyrics=None if window.lyrics is None else window.lyrics[:1],
        )
        alone.begin(first, stopped)
        self.position, self.waiting = alone.position, None
        if self.position < 0:
            return
        self.caches.copy_lane(alone.caches, self.position + 1)
        self.added[:] = alone.added
        if alone.waiting is not None:
            self.waiting = self.row_graph.logits
            self.waiting[:] = alone.waiting

    def _condition(self, window: WindowInput) -> dict[str, Array]:
        styles = window.styles
        artists, genres = self.names.artist_rows, self.names.genre_rows
        inputs: dict[str, NDArray[Any]] = {
            "artists": np.zeros((self.lanes, artists), np.float32),
            "genres": np.zeros((self.lanes, genres), np.float32),
            "total": np.full(self.lanes, window.total, np.float32),
            "offset": np.array(window.offsets, np.float32),
        }
        for lane, style in enumerate(styles):
            for row, weight in self.names.artist_weights(style, strict=False).items():
                inputs["artists"][lane, row] = weight
            for row, weight in self.names.genre_weights(style, strict=False).items():
                inputs["genres"][lane, row] = weight
        if window.upper is not None:
            inputs["upper"] = np.ascontiguousarray(window.upper, np.int64)
        lyrics = self.config.lyrics
        if lyrics is not None and lyrics.encoder is not None:
            blank = np.zeros((self.lanes, lyrics.tokens), np.int64)
            inputs["characters"] = blank if window.lyrics is None else window.lyrics
        if self.config.pulse is not None:
            pulse = window.pulse or SongPulse()
            places = [pulse_rows(self.config, pulse, offset) for offset in window.offsets]
            inputs |= {
                "phase": np.stack([place.phase for place in places]),
                "tempo": np.array([place.tempo for place in places], np.int64),
                "key": np.array([place.key for place in places], np.int64),
            }
        wanted = {node.name for node in self.conditions.get_inputs()}
        names = [node.name for node in self.conditions.get_outputs()]
        given = {name: array for name, array in inputs.items() if name in wanted}
        return dict(zip(names, self.conditions.run(names, given), strict=True))


class OnnxRunner(OnnxPrefill):
    """Sampling state of one level for ``lanes`` lanes, see :class:`engine.backends.protocol.LevelRunner`."""

    def __init__(
        self, sessions: LevelSessions, config: PriorConfig, names: LabelVocabulary, lanes: int
    ) -> None:
        super().__init__(sessions.row, sessions.conditions, config, names, lanes)
        self.previous = np.zeros(lanes, np.int64)
        self.place = np.zeros((), np.int64)
        self.here = np.zeros((lanes, config.width), np.float32)
        self.step_graph = GraphState(sessions.step, self.caches, 1)
        self.step_graph.add({"previous": self.previous, "place": self.place, "added": self.here})

    def step(self, previous: Codes | None) -> Array:
        """See :class:`engine.backends.protocol.LevelRunner`."""
        if self.position < 0:
            raise RuntimeError("step before begin: a window has to be begun first")
        if self.waiting is not None:
            logits, self.waiting = self.waiting, None
            return logits
        assert previous is not None
        self.position += 1
        np.add(previous, self.first_code, out=self.previous)
        self.place.fill(self.position)
        self.here[:] = self.added[self.position]
        self.step_graph.run(self.position)
        return self.step_graph.logits

    def sample(self, previous: Codes | None, noise: NDArray[np.float64], settings: LevelSampling) -> Codes:
        """See :class:`engine.backends.protocol.LevelRunner`."""
        return sample_here(self.step, previous, noise, settings)
