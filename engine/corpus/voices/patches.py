"""Tonal patches as data, each one of four ways to make a note: filtered waves, FM, plucked string, smeared pad."""

from __future__ import annotations

from dataclasses import dataclass

_OO = ((320.0, 90.0, 1.0), (800.0, 120.0, 0.35), (2400.0, 250.0, 0.06))
_AH = ((680.0, 110.0, 1.0), (1150.0, 140.0, 0.6), (2600.0, 250.0, 0.12))
_BRASS = ((500.0, 300.0, 0.9), (1200.0, 500.0, 0.8), (2600.0, 900.0, 0.3))
_CLARINET = ((450.0, 300.0, 1.0), (1500.0, 500.0, 0.3))


@dataclass(frozen=True)
class Wave:
    """Oscillators (`shape`, `voices` of them spread over `detune` cents) behind a lowpass with its own decay.

    `cutoff` in Hz at middle C (it follows the pitch by half), opened by `sweep_octaves` at the onset and closing with
    time constant `sweep_s`; envelope times in seconds; `sub` the level of a sine an octave below; `vibrato` in cents;
    `breath` the level of noise; `drive` the saturation (0..1); `glide` the octaves by which the pitch falls in.
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
    """Two-operator FM: `ratio` of modulator to carrier, `index` at the onset falling with time constant `index_s`.

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
    """A plucked string (delay line with a lossy loop): `ring` seconds to -60 dB, `bright` (0..1), `pick` position (0..1).

    `mute` shortens the note to that many seconds; `body` lifts a resonance at that frequency in Hz; `drive` saturates.
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

PATCHES: dict[str, Patch] = {
    # basses
    "round_bass": Wave("triangle", cutoff=900, sweep_octaves=1.5, sweep_s=0.08, sub=0.4, fall=0.5, sustain=0.6,
                       release=0.05, program=38),
    "saw_bass": Wave("saw", 2, 9, cutoff=700, sweep_octaves=2.2, sweep_s=0.12, resonance=0.35, sub=0.5, fall=0.4,
                     sustain=0.5, release=0.04, program=38),
    "offbeat_bass": Wave("saw", 1, cutoff=600, sweep_octaves=2.5, sweep_s=0.09, resonance=0.4, sub=0.6, fall=0.3,
                         sustain=0.5, release=0.03, drive=0.2, program=38),
    "acid_bass": Wave("saw", 1, cutoff=350, sweep_octaves=3.3, sweep_s=0.11, resonance=0.85, fall=0.35, sustain=0.4,
                      release=0.03, drive=0.35, program=87),
    "sub_bass": Wave("sine", cutoff=800, attack=0.008, fall=0.8, sustain=0.8, release=0.07, drive=0.25, program=39),
    "reese_bass": Wave("saw", 3, 22, cutoff=550, sweep_octaves=0.8, sweep_s=0.5, resonance=0.3, sub=0.7, fall=1.0,
                       sustain=0.85, release=0.06, drive=0.45, program=87),
    "dub_bass": Wave("triangle", cutoff=420, sub=0.6, attack=0.008, fall=0.7, sustain=0.75, release=0.06, program=33),
    "bass_808": Wave("sine", cutoff=1200, attack=0.003, fall=0.9, sustain=0.25, release=0.1, drive=0.6, glide=0.9,
                     program=39),
    "finger_bass": Pluck(2.2, 0.32, 0.28, body=110.0, release=0.05, program=33),
    "pick_bass": Pluck(2.6, 0.6, 0.12, body=130.0, drive=0.3, release=0.04, program=34),
    "slap_bass": Pluck(2.0, 0.85, 0.08, body=120.0, drive=0.15, release=0.03, program=36),
    "upright_bass": Pluck(1.5, 0.22, 0.35, body=95.0, release=0.08, program=32),
    # chords
    "house_piano": Fm(1.0, 2.2, 0.25, 0.5, fall=0.7, release=0.1, tine=0.25, tine_ratio=7.0, program=0),
    "felt_piano": Fm(1.0, 0.9, 0.3, 0.15, attack=0.006, fall=1.0, release=0.25, program=0),
    "e_piano": Fm(1.0, 1.4, 0.5, 0.2, fall=1.4, release=0.15, tine=0.3, program=4),
    "wurli": Fm(2.0, 1.1, 0.4, 0.3, fall=1.1, release=0.12, tremolo=0.35, program=4),
    "clav": Pluck(0.7, 0.95, 0.06, release=0.02, drive=0.2, program=7),
    "organ": Wave("organ", cutoff=6000, attack=0.006, sustain=1.0, release=0.04, vibrato=8, program=16),
    "organ_stab": Wave("organ", cutoff=2500, sweep_octaves=1.0, sweep_s=0.05, attack=0.003, fall=0.15, sustain=0.5,
                       release=0.05, program=16),
    "stab_saw": Wave("saw", 3, 14, cutoff=1100, sweep_octaves=2.2, sweep_s=0.12, resonance=0.35, fall=0.18,
                     sustain=0.25, release=0.12, program=81),
    "dub_chord": Wave("saw", 2, 10, cutoff=650, sweep_octaves=1.6, sweep_s=0.2, resonance=0.5, fall=0.25,
                      sustain=0.1, release=0.3, program=81),
    "poly_saw": Wave("saw", 3, 12, cutoff=1600, sweep_octaves=1.2, sweep_s=0.4, resonance=0.2, attack=0.01,
                     fall=0.8, sustain=0.7, release=0.2, program=62),
    "super_saw": Wave("saw", 5, 26, cutoff=5200, sweep_octaves=0.8, sweep_s=0.2, resonance=0.1, fall=0.5,
                      sustain=0.7, release=0.12, program=81),
    "fuzz_guitar": Pluck(5.0, 0.75, 0.15, drive=0.95, release=0.04, program=30),
    "nylon_guitar": Pluck(2.4, 0.42, 0.3, body=210.0, release=0.08, program=24),
    # leads and arpeggios
    "glass_lead": Fm(2.0, 1.6, 0.4, 0.5, fall=1.2, sustain=0.3, release=0.2, tine=0.1, tine_ratio=5.0, program=98),
    "reso_lead": Wave("pulse", cutoff=900, sweep_octaves=2.5, sweep_s=0.18, resonance=0.75, fall=0.4, sustain=0.5,
                      release=0.06, vibrato=6, program=80),
    "square_lead": Wave("square", cutoff=2600, sweep_octaves=1.0, fall=0.4, sustain=0.7, release=0.06, vibrato=10,
                        program=80),
    "sync_lead": Wave("saw", 2, 8, cutoff=3200, sweep_octaves=1.2, sweep_s=0.3, resonance=0.4, fall=0.5, sustain=0.75,
                      release=0.1, vibrato=12, program=81),
    "super_lead": Wave("saw", 5, 22, cutoff=6500, resonance=0.1, fall=0.5, sustain=0.8, release=0.12, program=81),
    "brass_lead": Wave("saw", 2, 8, cutoff=1500, sweep_octaves=1.3, sweep_s=0.25, attack=0.03, sustain=0.8,
                       release=0.06, vibrato=8, peaks=_BRASS, program=61),
    "muted_trumpet": Wave("reed", cutoff=3200, attack=0.025, sustain=0.8, release=0.06, vibrato=12, peaks=_BRASS,
                          program=59),
    "flute_lead": Wave("triangle", cutoff=3500, attack=0.045, sustain=0.9, release=0.08, vibrato=14, breath=0.05,
                       program=73),
    "clarinet": Wave("square", cutoff=2400, attack=0.035, sustain=0.9, release=0.07, vibrato=6, breath=0.02,
                     peaks=_CLARINET, program=71),
    "melodica": Wave("reed", 2, 7, cutoff=2800, attack=0.03, sustain=0.9, release=0.06, vibrato=9, program=22),
    "clean_guitar": Pluck(3.0, 0.7, 0.18, release=0.08, program=27),
    "fuzz_lead": Pluck(7.0, 0.8, 0.2, drive=1.0, release=0.05, program=30),
    "muted_guitar": Pluck(1.2, 0.55, 0.15, mute=0.16, release=0.03, program=28),
    "vibes": Fm(4.0, 0.5, 0.2, 0.02, fall=1.1, release=0.35, tremolo=0.25, program=11),
    "metal_bell": Fm(3.53, 2.2, 0.35, 0.2, fall=0.8, release=0.35, program=14),
    "sine_bell": Fm(3.0, 0.9, 0.25, 0.03, fall=1.1, release=0.5, program=10),
    "glass_pluck": Fm(2.0, 1.8, 0.09, 0.1, fall=0.35, release=0.15, program=98),
    "super_pluck": Wave("saw", 3, 16, cutoff=1800, sweep_octaves=2.0, sweep_s=0.07, fall=0.14, sustain=0.05,
                        release=0.1, program=84),
    "square_pluck": Wave("square", cutoff=1100, sweep_octaves=2.2, sweep_s=0.07, resonance=0.3, fall=0.15,
                         sustain=0.1, release=0.1, program=80),
    "acid_pluck": Wave("saw", cutoff=500, sweep_octaves=3.0, sweep_s=0.07, resonance=0.8, fall=0.15, sustain=0.05,
                       release=0.05, drive=0.25, program=87),
    "soft_pluck": Wave("triangle", cutoff=2200, sweep_octaves=0.8, sweep_s=0.1, fall=0.4, sustain=0.05, release=0.2,
                       program=88),
    "blip": Wave("sine", cutoff=8000, fall=0.06, sustain=0.0, release=0.03, program=80),
    # pads
    "warm_pad": Smear("saw", 22, 1300, -2.0, program=89),
    "dark_pad": Smear("saw", 30, 700, -1.0, 0.25, 0.6, program=89),
    "glass_pad": Smear("triangle", 14, 6000, 2.0, 0.12, 0.6, program=88),
    "soft_pad": Smear("triangle", 18, 2500, 0.0, 0.1, 0.5, program=88),
    "string_pad": Smear("saw", 30, 3600, -1.0, 0.09, 0.3, program=48),
    "organ_pad": Smear("organ", 10, 3000, 0.0, 0.03, 0.15, program=16),
    "choir_pad": Smear("saw", 26, 4000, 0.0, 0.12, 0.45, _AH, program=52),
    "choir_oo": Smear("saw", 24, 3000, 0.0, 0.12, 0.45, _OO, program=53),
}
