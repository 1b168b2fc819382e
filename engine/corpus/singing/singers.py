"""Who sings, as data. Every artist whose genres are sung has one singer, so the artist's label tells the voice."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Singer:
    """A voice: `voice` names the recordings in the bank, `low` and `high` the range in MIDI notes.

    `formants` scales the resonances (above 1: a smaller head), `breath` (0..1) is how much of the tone is air,
    `tilt_db` how much duller each octave above 1 kHz is, `vibrato_hz` and `vibrato_cents` (peak) how it wavers,
    `scoop_cents` from how far below a first note is reached.
    """

    name: str
    voice: str
    low: int
    high: int
    formants: float = 1.0
    breath: float = 0.1
    tilt_db: float = 0.0
    vibrato_hz: float = 5.5
    vibrato_cents: float = 25.0
    scoop_cents: float = 70.0

    @property
    def centre(self) -> int:
        """The middle of the range, a MIDI note."""
        return (self.low + self.high) // 2


# The espeak-ng voices whose words are in the bank.
VOICES = ("en-us+f2", "en-us+f4", "en-us+m1", "en-us+m3")

# fmt: off
SINGERS: dict[str, Singer] = {
    singer.name: singer
    for singer in (
        Singer("ida", "en-us+f2", 57, 71, 1.06, breath=0.08, vibrato_hz=5.8, vibrato_cents=28.0),
        Singer("mara", "en-us+f4", 55, 69, 0.98, breath=0.4, tilt_db=-2.0, vibrato_hz=5.0, vibrato_cents=14.0),
        Singer("nell", "en-us+f2", 60, 74, 1.15, breath=0.15, vibrato_hz=6.2, vibrato_cents=18.0, scoop_cents=40.0),
        Singer("otto", "en-us+m3", 47, 61, 1.0, breath=0.06, vibrato_hz=5.2, vibrato_cents=32.0),
        Singer("piet", "en-us+m1", 43, 57, 0.92, breath=0.12, tilt_db=-1.5, vibrato_hz=4.6, vibrato_cents=22.0,
               scoop_cents=110.0),
        Singer("silas", "en-us+m1", 50, 64, 1.05, breath=0.3, vibrato_hz=5.6, vibrato_cents=16.0),
    )
}
# fmt: on

# Artists without an entry are never sung; neither are these genres.
SINGER_OF: dict[str, str] = {
    "glass_harbor": "ida",
    "blue_ladder": "nell",
    "river_signal": "mara",
    "copper_fox": "ida",
    "cedar_avenue": "otto",
    "dust_parade": "silas",
    "low_tide": "piet",
    "velvet_static": "mara",
    "paper_lantern": "nell",
    "sunday_ferry": "mara",
    "iron_orchard": "otto",
    "amber_motel": "otto",
    "neon_heron": "silas",
    "quiet_engine": "mara",
    "marble_kite": "ida",
    "ghost_bakery": "silas",
    "salt_circuit": "nell",
}
INSTRUMENTAL = frozenset({"techno", "ambient", "trap"})


def singer_of(genre: str, artist: str) -> Singer | None:
    """Who sings for an artist in a genre; None where nobody does."""
    if genre in INSTRUMENTAL or artist not in SINGER_OF:
        return None
    return SINGERS[SINGER_OF[artist]]
