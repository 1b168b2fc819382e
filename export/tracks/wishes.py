"""What is wanted of a take that becomes a track."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from engine.request import Frozen

Format = Literal["wav", "flac"]
Bits = Literal[16, 24, "float32"]
Rate = Literal[44100, 48000]
Loudness = Literal["prime", "made"]

LEAST_LUFS, MOST_LUFS = -40.0, -5.0


class TrackWishes(Frozen):
    """How a take is finished and written.

    ``rate`` in Hz, None for the model's own. ``loop``: the end meets the beginning. ``loudness``: as loud as the
    prime, as it was ``made``, or a stated integrated loudness in LUFS. ``full``: with the prime in front. ``dither``:
    of 16 bits. ``whole``: cut to whole bars where a tempo is known.
    """

    format: Format = "wav"
    bits: Bits = 24
    rate: Rate | None = None
    loop: bool = False
    loudness: Loudness | float = "prime"
    full: bool = False
    dither: bool = True
    whole: bool = True

    @model_validator(mode="after")
    def _possible(self) -> TrackWishes:
        if self.format == "flac" and self.bits == "float32":
            raise ValueError("FLAC holds whole numbers only; choose 16 or 24 bits, or WAV for 32-bit float")
        if self.loop and self.full:
            raise ValueError(
                "a loop has no prime in front, since its end meets its own beginning; choose one of the two"
            )
        if not isinstance(self.loudness, str) and not LEAST_LUFS <= self.loudness <= MOST_LUFS:
            raise ValueError(
                f"the loudness is {self.loudness:g} LUFS; it must be from {LEAST_LUFS:g} to {MOST_LUFS:g}, such as -14"
            )
        return self
