"""Four kinds of patch, four ways to make a note: filtered waves, FM, a plucked string, a smeared pad."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Wave:
    """Oscillators (`shape`, `voices` of them spread over `detune` cents) behind a lowpass with its own decay.

    `cutoff` in Hz at middle C (it follows the pitch by half), opened by `sweep_octaves` at the onset and
    closing with time constant `sweep_s`; envelope times in seconds; `sub` the level of a sine an octave
    below; `vibrato` in cents; `breath` the level of noise; `drive` the saturation (0..1); `glide` the octaves
    by which the pitch falls in.
    """

    shape: str = "saw"
    voices: int = 1
    detune: float = 0.0
    cutoff: float = 2000.0
    sweep_octaves: float = 0.0
    sweep_s: float = 0.2
    resonance: float = 0.2
    attack: float = 0.004
    fall: float = 0.3
    sustain: float = 0.7
    release: float = 0.08
    sub: float = 0.0
    vibrato: float = 0.0
    breath: float = 0.0
    drive: float = 0.0
    glide: float = 0.0
    peaks: tuple[tuple[float, float, float], ...] = ()
    program: int = 81


@dataclass(frozen=True)
class Fm:
    """Two-operator FM: `ratio` of modulator to carrier, `index` at the onset falling with time constant
    `index_s`.

    `tine` adds a high, short partial at `tine_ratio`; `fall` is the time constant of the loudness.
    """

    ratio: float = 1.0
    index: float = 1.5
    index_s: float = 0.3
    index_floor: float = 0.2
    attack: float = 0.002
    fall: float = 1.2
    sustain: float = 0.0
    release: float = 0.2
    tine: float = 0.0
    tine_ratio: float = 14.0
    tremolo: float = 0.0
    program: int = 4


@dataclass(frozen=True)
class Pluck:
    """A plucked string (delay line with a lossy loop): `ring` seconds to -60 dB, `bright` (0..1), `pick`
    position (0..1).

    `mute` shortens the note to that many seconds; `body` lifts a resonance at that frequency in Hz; `drive`
    saturates.
    """

    ring: float = 3.0
    bright: float = 0.6
    pick: float = 0.2
    mute: float = 0.0
    body: float = 0.0
    drive: float = 0.0
    release: float = 0.06
    program: int = 24


@dataclass(frozen=True)
class Smear:
    """A pad whose harmonics are smeared over `width` cents, so that it moves like an ensemble (PADsynth).

    `tilt` dB per octave; `cutoff` in Hz; envelope times in seconds.
    """

    shape: str = "saw"
    width: float = 25.0
    cutoff: float = 1800.0
    tilt: float = 0.0
    attack: float = 0.15
    release: float = 0.5
    peaks: tuple[tuple[float, float, float], ...] = ()
    program: int = 89


Patch = Wave | Fm | Pluck | Smear
