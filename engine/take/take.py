"""A take as it lies on disk, and the two records it is described by."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator
from safetensors import SafetensorError, safe_open

from engine.audio import Waveform, read_audio
from engine.errors import BadFormat, NoFile
from engine.request import Frozen, Pulse, Request
from engine.shelf.files import AUDIO_PART as AUDIO_PART
from engine.shelf.files import CODES as CODES
from engine.shelf.files import CONTINUATION as CONTINUATION
from engine.shelf.files import JOURNAL as JOURNAL
from engine.shelf.files import LEADS as LEADS
from engine.shelf.files import PRIME as PRIME
from engine.shelf.files import REQUEST as REQUEST
from engine.shelf.files import TAKE as TAKE
from engine.shelf.listed import held_frames

Leads = dict[int, dict[int, NDArray[np.int64]]]  # by level and by the token that each begins beside


class TakeHead(Frozen):
    """What is known before sampling starts. ``rate`` in Hz, ``prime_frames`` at that rate, ``created`` ISO
    8601; ``parent``: folder name of the take that this one goes on from; ``overhang``: samples of the
    continuation that the prime's last top-level token covers, above 0 where a take goes on in the middle of one;
    ``hop``: samples per top-level token, 0 where that is unknown; ``left_out``: frames that were heard before those
    of the prime's file; ``pulse``: what the model was told of it, as a request states it; ``runtime``: what
    computes the model (:attr:`engine.backends.protocol.Backend.runtime`): the same request gives the same samples
    on the same one. "" where that is unknown. ``model_files``: SHA-256 by name of the model's files that decide what
    it makes; none in takes of earlier versions.
    """

    schema_version: int = 2
    name: str
    request: Request
    model_hash: str
    engine_version: str
    rate: Annotated[int, Field(ge=1)]
    prime_frames: Annotated[int, Field(ge=0)]
    prime_sha256: str
    created: str
    parent: str | None = None
    overhang: Annotated[int, Field(ge=0)] = 0
    hop: Annotated[int, Field(ge=0)] = 0
    left_out: Annotated[int, Field(ge=0)] = 0
    pulse: Pulse | None = None
    runtime: str = ""
    model_files: dict[str, str] = {}


class PlannedWindow(Frozen):
    """One sampled window: new ``tokens`` of ``level`` from token ``start`` of the prime's beginning."""

    level: Annotated[int, Field(ge=0, le=2)]
    start: Annotated[int, Field(ge=0)]
    tokens: Annotated[int, Field(ge=0)]
    seconds: Annotated[float, Field(ge=0.0)]


class Timings(Frozen):
    """Where the time went.

    ``first_audio_ms``: from the beginning of the work to the first audio of whatever fidelity, None without
    audio; ``first_final_ms``: to the first of the asked-for fidelity, None when that was not in the last run;
    ``real_time_factor``: seconds of audio per second of work, above 1 is faster than real time; ``tokens``
    and ``seconds`` per level: what was sampled; ``runs``: 1, and one more for every resume.
    """

    prime_seconds: float
    first_audio_ms: float | None
    first_final_ms: float | None = None
    total_seconds: float
    real_time_factor: float
    tokens: dict[int, int]
    seconds: dict[int, float]
    runs: int


class Metrics(Frozen):
    """Of the continuation: ``peak_dbfs`` and ``rms_dbfs`` (None: silence), ``clipped`` samples beyond ±1.

    ``lufs``: integrated loudness; ``range_lu``: its range; ``true_peak_dbtp``. Of the jump of the mel spectrum from the
    20 ms before a place to the 20 ms after it, in dB: ``seam_jump_db`` where prime and continuation meet,
    ``window_jump_db`` the mean where windows of the finest level meet, ``usual_jump_db`` the mean elsewhere;
    ``seam_click_db``: how far the seam stands out of what is around it. None: too short to say, silent, not there, or a
    take of an earlier version.
    """

    peak_dbfs: float | None
    rms_dbfs: float | None
    clipped: Annotated[int, Field(ge=0)]
    lufs: float | None = None
    range_lu: float | None = None
    true_peak_dbtp: float | None = None
    seam_jump_db: float | None = None
    seam_click_db: float | None = None
    window_jump_db: float | None = None
    usual_jump_db: float | None = None


class TakeInfo(Frozen):
    """A take's description, written last. ``frames`` of audio in ``continuation.wav``; tokens per level."""

    schema_version: int = 1
    state: Literal["complete", "partial"]
    head: TakeHead
    finished: str
    frames: Annotated[int, Field(ge=0)]
    prime_tokens: dict[int, int]
    tokens: dict[int, int]
    plan: tuple[PlannedWindow, ...]
    timings: Timings
    metrics: Metrics

    @model_validator(mode="after")
    def _whole(self) -> TakeInfo:
        if self.state == "complete" and self.frames != self.head.request.frames:
            raise ValueError(
                f"a complete take has {self.head.request.frames} frames as requested, not {self.frames}"
            )
        return self

    @property
    def seconds(self) -> float:
        """Length of the continuation in seconds."""
        return self.frames / self.head.rate

    def window_starts(self, level: int) -> list[int]:
        """Samples of the continuation at which windows of a level begin, but for the first; none where the tokens of
        that level, or their length, are not known."""
        top = max(self.tokens, default=level)
        if not (self.head.hop and self.tokens.get(level) and self.tokens.get(top)):
            return []
        # A level has a power of two times the tokens of another, but for those that a take ends in the middle of.
        hop = self.head.hop >> round(math.log2(self.tokens[level] / self.tokens[top]))
        seam = self.prime_tokens.get(top, 0) * self.head.hop - self.head.overhang
        starts = sorted({window.start * hop - seam for window in self.plan if window.level == level})
        return [start for start in starts[1:] if 0 < start < self.frames]

    @property
    def held(self) -> int:
        """Frames of the continuation that can be gone on from: as far as the top level was sampled.

        More than ``frames`` of a take that was cut short before its finer levels had followed.
        """
        return held_frames(
            frames=self.frames,
            asked=self.head.request.frames,
            partial=self.state == "partial",
            tokens=self.tokens,
            prime_tokens=self.prime_tokens,
            hop=self.head.hop,
            overhang=self.head.overhang,
        )


@dataclass(frozen=True)
class Take:
    """A take on disk: complete, or the partial remains of an interrupted one."""

    folder: Path
    info: TakeInfo

    @classmethod
    def load(cls, folder: str | Path) -> Take:
        """Reads ``take.json``. Raises :class:`NoFile` where there is no take, :class:`BadFormat` for a
        broken one.
        """
        return cls(Path(folder), read_record(Path(folder), TAKE, TakeInfo))

    @property
    def wav(self) -> Path:
        """The continuation's file."""
        return self.folder / CONTINUATION

    def audio(self) -> Waveform:
        """The continuation, float32 [frames, 1] at the model's rate."""
        if self.info.frames == 0:  # a partial take whose first windows gave no audio yet
            return Waveform.of_mono(np.zeros(0, np.float32), self.info.head.rate)
        return read_audio(self.wav)

    def prime(self) -> Waveform:
        """The prime as the model heard it, float32 [frames, 1] at the model's rate."""
        return read_prime_of(self.folder, self.info.head)

    def codes(self) -> dict[int, NDArray[np.int64]]:
        """Codes per level from the beginning of the prime, int64 [tokens]."""
        return read_codes(self.folder)[0]

    def leads(self) -> Leads:
        """Codes that stand beside those of :meth:`codes` where windows overlap, see
        :class:`engine.events.LeadCodes`."""
        return read_leads(self.folder)


def read_prime_of(folder: Path, head: TakeHead) -> Waveform:
    """The prime's audio as filed; empty for a take that began from nothing."""
    if head.prime_frames == 0:
        return Waveform.of_mono(np.zeros(0, np.float32), head.rate)
    return read_audio(folder / PRIME)


Record = TypeVar("Record", TakeHead, TakeInfo)


def read_record(folder: Path, name: str, model: type[Record]) -> Record:
    """One of the two JSON records. Raises :class:`NoFile` or :class:`BadFormat`."""
    try:
        return model.model_validate_json((folder / name).read_bytes())
    except OSError as error:
        raise NoFile(f"'{folder}' is not a take's folder: it holds no readable {name}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise BadFormat(
            f"{name} in '{folder}' is broken at "
            f"{'.'.join(map(str, first['loc'])) or 'its start'}: {first['msg']}"
        ) from error


def codes_to_bytes(codes: dict[int, NDArray[np.int64]], prime_tokens: dict[int, int]) -> bytes:
    """``codes.safetensors`` in memory: int64 [tokens] per level and the prime's share of them."""
    arrays = {f"level_{level}": np.ascontiguousarray(array) for level, array in sorted(codes.items())}
    return safetensors.numpy.save(arrays, metadata={"prime_tokens": json.dumps(prime_tokens, sort_keys=True)})


def leads_to_bytes(leads: Leads) -> bytes:
    """``leads.safetensors`` in memory: int64 [tokens] by ``level.start``."""
    arrays = {f"{level}.{start}": codes for level, own in leads.items() for start, codes in own.items()}
    return safetensors.numpy.save({name: np.ascontiguousarray(arrays[name]) for name in sorted(arrays)})


def read_leads(folder: Path) -> Leads:
    """What :func:`leads_to_bytes` wrote, nothing where no window overlaps another. Raises :class:`BadFormat`."""
    path, found = folder / LEADS, Leads()
    if not path.is_file():
        return found
    try:
        for name, codes in safetensors.numpy.load_file(path).items():
            level, start = (int(part) for part in name.split("."))
            found.setdefault(level, {})[start] = codes
    except (SafetensorError, ValueError) as error:
        raise BadFormat(f"'{path}' holds no codes of a take ({error}); restore the file") from error
    return found


def read_codes(folder: Path) -> tuple[dict[int, NDArray[np.int64]], dict[int, int]]:
    """Codes per level and prime tokens per level. Raises :class:`NoFile` or :class:`BadFormat`."""
    path = folder / CODES
    if not path.is_file():
        raise NoFile(f"'{folder}' is not a take's folder: it holds no readable {CODES}")
    try:
        with safe_open(path, framework="numpy") as file:
            prime_tokens = json.loads((file.metadata() or {})["prime_tokens"])
            arrays = {int(key.removeprefix("level_")): file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, ValueError) as error:
        raise BadFormat(f"'{path}' holds no codes of a take ({error}); restore the file") from error
    return arrays, {int(level): count for level, count in prime_tokens.items()}
