"""One level's prior by ONNX Runtime: caches that stay where they are, inputs and outputs bound once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from engine.backends.onnx_caches import Array, Masks, WindowCaches
from engine.backends.protocol import Codes, WindowInput
from engine.prior.config import PriorConfig
from engine.prior.pulse import SongPulse, pulse_rows
from engine.prior.vocabulary import LabelVocabulary
from engine.request import LevelSampling
from engine.sampling.draw import sample_here


@dataclass(frozen=True)
class LevelSessions:
    """The three graphs of a level's prior, loaded."""

    step: onnxruntime.InferenceSession
    row: onnxruntime.InferenceSession
    conditions: onnxruntime.InferenceSession


class BoundGraph:
    """A session whose inputs and outputs are arrays of ours, bound by address; ``run`` copies nothing.

    Arrays are kept alive here for as long as they are bound.
    """

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self.session = session
        self.binding = session.io_binding()
        self.wanted = {node.name for node in session.get_inputs()}
        self.kept: dict[str, NDArray[Any]] = {}

    def give(self, name: str, array: NDArray[Any]) -> None:
        """Bind an input, C-contiguous; names that the graph lacks are passed over."""
        if name in self.wanted:
            self.kept[name] = array
            self.binding.bind_input(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)

    def take(self, name: str, array: NDArray[Any]) -> NDArray[Any]:
        """Bind an output."""
        self.kept[name] = array
        self.binding.bind_output(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
        return array

    def run(self) -> None:
        """One pass."""
        self.session.run_with_iobinding(self.binding)


class OnnxRunner:
    """Sampling state of one level for ``lanes`` lanes, see :class:`engine.backends.protocol.LevelRunner`."""

    def __init__(
        self, sessions: LevelSessions, config: PriorConfig, names: LabelVocabulary, lanes: int
    ) -> None:
        self.config, self.names, self.lanes = config, names, lanes
        self.shape, self.joint = config.shape, config.joint_lyrics
        self.first_code = config.vocabulary - config.bins
        self.conditions = sessions.conditions
        self.caches = WindowCaches(self.shape, lanes)
        self.added = np.zeros((lanes, self.shape.ctx, self.shape.width), np.float32)
        self.position = -1  # of the transformer; below 0 before the first window
        self.waiting: Array | None = None  # logits that the prefill gave
        self.step_masks, self.row_masks = Masks(self.shape, True), Masks(self.shape, False)
        self.previous = np.zeros(lanes, np.int64)
        self.place = np.zeros((), np.int64)
        self.here = np.zeros((lanes, self.shape.width), np.float32)
        self.logits = np.zeros((lanes, config.bins), np.float32)
        self.row_inputs = self._row_inputs()
        self.step_graph, self.step_new = self._bind(
            sessions.step,
            1,
            self.step_masks,
            {"previous": self.previous, "position": self.place, "added": self.here},
        )
        self.row_graph, self.row_new = self._bind(
            sessions.row, self.shape.block_ctx, self.row_masks, self.row_inputs
        )
        if "columns" in self.caches.arrays:
            self.row_graph.give("columns", self.caches.arrays["columns"])

    def _row_inputs(self) -> dict[str, NDArray[Any]]:
        n, block, width = self.lanes, self.shape.block_ctx, self.shape.width
        return {
            "ids": np.zeros((n, block), np.int64),
            "start": np.zeros((n, width), np.float32),
            "first": np.zeros((), np.float32),
            "row": np.zeros((), np.int64),
            "last": np.zeros((), np.int64),
            "added": np.zeros((n, block, width), np.float32),
        }

    def _bind(
        self,
        session: onnxruntime.InferenceSession,
        length: int,
        masks: Masks,
        inputs: Mapping[str, NDArray[Any]],
    ) -> tuple[BoundGraph, dict[str, Array]]:
        """A graph with everything bound that never changes its address; what changes is bound at the step."""
        graph = BoundGraph(session)
        for name, array in inputs.items():
            graph.give(name, array)
        for name, array in masks.arrays.items():
            graph.give(f"mask_{name}", array)
        for name in ("rows", "dense", "prime"):
            if name in self.caches.arrays:
                graph.give(name, self.caches.arrays[name])
        graph.take("logits", self.logits)
        new: dict[str, Array] = {}
        sizes = {name: array.shape[:4] for name, array in self.caches.arrays.items() if name != "columns"}
        if "columns" in self.caches.arrays:
            sizes["columns"] = self.caches.arrays["columns"].shape[1:5]
        if self.caches.previous:
            sizes["previous_rows"] = self.caches.previous[0].shape[:4]
        d = self.shape.attn_width // self.shape.heads
        for name, size in sizes.items():
            new[name] = graph.take(f"new_{name}", np.zeros((*size, length, d), np.float32))
        return graph, new

    def begin(self, window: WindowInput) -> None:
        """See :class:`engine.backends.protocol.LevelRunner`."""
        found = self._condition(window)
        self.added[:] = 0.0
        if "added" in found:
            self.added[:, self.joint : self.joint + found["added"].shape[1]] = found["added"]
        if "lyrics" in found:
            for graph in (self.step_graph, self.row_graph):
                graph.give("lyrics", np.ascontiguousarray(found["lyrics"]))
        ids = window.prefix + self.first_code
        if self.joint:
            characters = (
                np.zeros((self.lanes, self.joint), np.int64) if window.lyrics is None else window.lyrics
            )
            ids = np.concatenate((characters, ids), 1)
        self.row_inputs["start"][:] = found["start"]
        self._prefill(ids)

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

    def _prefill(self, ids: Codes) -> None:
        """Pass the known ids [N, n] through, row by row; leaves the logits of position n waiting."""
        block, total = self.shape.block_ctx, ids.shape[1]
        inputs = self.row_inputs
        for row in range(total // block + 1):
            first = row * block
            before = ids[:, max(0, first - 1) : first + block - 1]
            shift = 1 if row == 0 else 0
            inputs["ids"][:] = 0
            inputs["ids"][:, shift : shift + before.shape[1]] = before
            inputs["first"][...] = 1.0 if row == 0 else 0.0
            inputs["row"][...] = row
            inputs["last"][...] = min(total - first, block - 1)
            inputs["added"][:] = self.added[:, first : first + block]
            self.row_masks.show(first)
            if self.caches.previous:
                self.row_graph.give("previous_rows", self.caches.row_before(row))
            self.row_graph.run()
            self.caches.put_row(row, self.row_new)
        self.position, self.waiting = total, self.logits

    def step(self, previous: Codes | None) -> Array:
        """See :class:`engine.backends.protocol.LevelRunner`."""
        if self.position < 0:
            raise RuntimeError("step before begin: a window has to be begun first")
        if self.waiting is not None:
            logits, self.waiting = self.waiting, None
            return logits
        assert previous is not None
        self.position += 1
        row, column = divmod(self.position, self.shape.block_ctx)
        self.previous[:] = previous
        self.place[...] = self.position
        self.here[:] = self.added[:, self.position]
        self.step_masks.show(self.position)
        if "columns" in self.caches.arrays:
            self.step_graph.give("columns", self.caches.arrays["columns"][column])
        if self.caches.previous:
            self.step_graph.give("previous_rows", self.caches.row_before(row))
        self.step_graph.run()
        self.caches.put_position(self.position, self.step_new)
        return self.logits

    def sample(self, previous: Codes | None, noise: NDArray[np.float64], settings: LevelSampling) -> Codes:
        """See :class:`engine.backends.protocol.LevelRunner`."""
        return sample_here(self.step, previous, noise, settings)
