"""How coarse the grid is on which a continuation begins."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

from pydantic import model_serializer, model_validator

from engine.request import Frozen

_FORM = re.compile(r"(\d{1,6}(?:/[1-9]\d{0,5}|\.\d{1,6})?)\s*(bar|beat)s?", re.ASCII)
MOST_BARS, MOST_BEATS = 64, 256


class Quantum(Frozen):
    """Written ``1 bar``, ``4 bars``, ``1/2 beat`` or ``off`` (at once). A beat is a quarter note, as in MIDI clock."""

    amount: Fraction = Fraction(1)
    unit: str = "bar"

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        text = value.strip().casefold()
        if text == "off":
            return {"amount": Fraction(0), "unit": "bar"}
        match = _FORM.fullmatch(text)
        if match is None:
            raise ValueError(
                f"the quantum '{value}' cannot be read; write '1 bar', '2 beats', '1/2 beat' or 'off'"
            )
        return {"amount": Fraction(match[1]), "unit": match[2]}

    @model_validator(mode="after")
    def _within(self) -> Quantum:
        most = {"bar": MOST_BARS, "beat": MOST_BEATS}.get(self.unit)
        if most is None:
            raise ValueError(f"the quantum's unit is '{self.unit}'; it must be 'bar' or 'beat'")
        if not 0 <= self.amount <= most:
            raise ValueError(f"the quantum is {self}; it must be from 0 (off) to {most} {self.unit}s")
        return self

    @model_serializer
    def _written(self) -> str:
        return str(self)

    def __str__(self) -> str:
        if self.amount == 0:
            return "off"
        return f"{self.amount} {self.unit}{'' if self.amount <= 1 else 's'}"

    @classmethod
    def of_beats(cls, beats: float) -> Quantum:
        """The grid of so many beats; 0 is off. Raises ``ValidationError`` outside 0 to 256."""
        return cls(amount=Fraction(beats).limit_denominator(96), unit="beat")

    @classmethod
    def of_bars(cls, bars: float) -> Quantum:
        """The grid of so many bars; 0 is off. Raises ``ValidationError`` outside 0 to 64."""
        return cls(amount=Fraction(bars).limit_denominator(96), unit="bar")

    def beats(self, bar_beats: Fraction) -> Fraction:
        """The grid in beats, where a bar has ``bar_beats``; 0 is off."""
        return self.amount * bar_beats if self.unit == "bar" else self.amount
