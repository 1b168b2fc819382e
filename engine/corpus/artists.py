"""Who plays, as data: every artist is a palette of sounds and habits, at home in one to three genres."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Artist:
    """One artist. Patches are names in `voices.patches`, the kit one in `voices.drums`.

    `tempo` is the part of the genre's tempo range that the artist uses (0..1); `bass_shift`, `centre` and
    `lead_centre` set registers in MIDI notes; `density` (0..1) how many ornaments; `loose_ms` the standard
    deviation of note onsets; `reverb` and `echo` are send levels (0..1); `room_s` the reverb's decay time to
    -60 dB; `drive` the saturation of the mix (0..1); `dark_hz` where the mix starts to roll off (0: it does
    not).
    """

    name: str
    genres: tuple[str, ...]
    bass: str
    chords: str
    lead: str
    pad: str
    arp: str
    kit: str
    tempo: tuple[float, float] = (0.0, 1.0)
    voicing: str = "close"
    bass_shift: int = 0
    centre: int = 60
    lead_centre: int = 74
    density: float = 0.5
    loose_ms: float = 3.0
    swing_shift: float = 0.0
    fill: str = "snare"
    reverb: float = 0.25
    room_s: float = 1.4
    echo: float = 0.0
    echo_steps: int = 3
    drive: float = 0.2
    dark_hz: float = 0.0

    def patch(self, track: str) -> str:
        """The name of the patch for a pitched track (`bass`, `chords`, `lead`, `pad`, `arp`); else KeyError."""
        return {
            "bass": self.bass,
            "chords": self.chords,
            "lead": self.lead,
            "pad": self.pad,
            "arp": self.arp,
        }[track]


# fmt: off
ARTISTS: dict[str, Artist] = {
    artist.name: artist
    for artist in (
        Artist(
            name="glass_harbor", genres=("house", "disco"), bass="round_bass", chords="house_piano",
            lead="glass_lead", pad="warm_pad", arp="glass_pluck", kit="kit_909", tempo=(0.0, 0.5), centre=62,
            lead_centre=76, density=0.4, loose_ms=2.0, fill="clap", reverb=0.3, room_s=1.2, echo=0.2,
        ),
        Artist(
            name="blue_ladder", genres=("house", "techno", "trance"), bass="acid_bass", chords="stab_saw",
            lead="reso_lead", pad="dark_pad", arp="acid_pluck", kit="kit_909", tempo=(0.5, 1.0), centre=57,
            lead_centre=70, density=0.6, loose_ms=0.0, fill="hat_stop", reverb=0.2, room_s=0.9, echo=0.3,
            drive=0.4,
        ),
        Artist(
            name="night_tram", genres=("techno",), bass="sub_bass", chords="dub_chord", lead="metal_bell",
            pad="dark_pad", arp="blip", kit="kit_deep", tempo=(0.0, 0.5), voicing="open", bass_shift=-2,
            centre=56, lead_centre=72, density=0.3, loose_ms=0.0, fill="tom", reverb=0.45, room_s=2.4,
            echo=0.5, drive=0.3,
        ),
        Artist(
            name="salt_circuit", genres=("drum_and_bass", "techno"), bass="reese_bass", chords="stab_saw",
            lead="square_lead", pad="dark_pad", arp="acid_pluck", kit="kit_break", tempo=(0.3, 1.0),
            voicing="open", centre=58, lead_centre=72, density=0.8, loose_ms=1.0, room_s=1.0, echo=0.15,
            drive=0.6,
        ),
        Artist(
            name="river_signal", genres=("drum_and_bass",), bass="sub_bass", chords="e_piano",
            lead="flute_lead", pad="choir_pad", arp="glass_pluck", kit="kit_break", tempo=(0.0, 0.6),
            voicing="spread", centre=62, lead_centre=76, loose_ms=2.0, reverb=0.4, room_s=2.0, echo=0.25,
            drive=0.15,
        ),
        Artist(
            name="copper_fox", genres=("funk", "disco"), bass="slap_bass", chords="clav", lead="brass_lead",
            pad="string_pad", arp="muted_guitar", kit="kit_dry", tempo=(0.3, 1.0), centre=64, lead_centre=72,
            density=0.9, loose_ms=4.0, swing_shift=0.01, reverb=0.15, room_s=0.7, drive=0.3,
        ),
        Artist(
            name="cedar_avenue", genres=("reggae", "rock", "funk"), bass="finger_bass", chords="organ",
            lead="clean_guitar", pad="organ_pad", arp="muted_guitar", kit="kit_live", tempo=(0.2, 0.8),
            centre=62, lead_centre=71, loose_ms=6.0, fill="tom", room_s=1.3, echo=0.1, echo_steps=6,
            drive=0.15,
        ),
        Artist(
            name="dust_parade", genres=("hip_hop", "funk"), bass="finger_bass", chords="wurli",
            lead="muted_trumpet", pad="string_pad", arp="vibes", kit="kit_dusty", tempo=(0.2, 0.8),
            voicing="shell", lead_centre=70, density=0.6, loose_ms=7.0, swing_shift=0.02, fill="kick",
            reverb=0.2, room_s=0.9, drive=0.5, dark_hz=7000.0,
        ),
        Artist(
            name="low_tide", genres=("reggae", "hip_hop"), bass="dub_bass", chords="organ_stab",
            lead="melodica", pad="organ_pad", arp="e_piano", kit="kit_deep", tempo=(0.0, 0.5), bass_shift=-2,
            lead_centre=73, density=0.3, loose_ms=6.0, fill="rim", reverb=0.4, room_s=2.2, echo=0.5,
        ),
        Artist(
            name="velvet_static", genres=("lofi", "hip_hop"), bass="round_bass", chords="wurli", lead="vibes",
            pad="warm_pad", arp="soft_pluck", kit="kit_dusty", tempo=(0.0, 0.6), voicing="shell",
            lead_centre=72, density=0.4, loose_ms=9.0, swing_shift=0.02, fill="none", reverb=0.3, room_s=1.2,
            echo=0.1, echo_steps=6, drive=0.35, dark_hz=5500.0,
        ),
        Artist(
            name="paper_lantern", genres=("bossa", "lofi"), bass="upright_bass", chords="nylon_guitar",
            lead="flute_lead", pad="soft_pad", arp="nylon_guitar", kit="kit_brush", tempo=(0.0, 0.7),
            voicing="spread", lead_centre=76, density=0.4, loose_ms=7.0, fill="rim", reverb=0.3, room_s=1.5,
            drive=0.1,
        ),
        Artist(
            name="sunday_ferry", genres=("bossa",), bass="upright_bass", chords="e_piano", lead="clarinet",
            pad="string_pad", arp="vibes", kit="kit_brush", tempo=(0.3, 1.0), voicing="shell", centre=62,
            lead_centre=70, density=0.6, loose_ms=5.0, reverb=0.35, room_s=1.8, drive=0.1,
        ),
        Artist(
            name="iron_orchard", genres=("rock",), bass="pick_bass", chords="fuzz_guitar", lead="fuzz_lead",
            pad="organ_pad", arp="clean_guitar", kit="kit_live", tempo=(0.3, 1.0), voicing="power", centre=52,
            lead_centre=67, density=0.7, loose_ms=4.0, fill="tom", reverb=0.2, room_s=1.1, drive=0.5,
        ),
        Artist(
            name="amber_motel", genres=("synthwave", "rock"), bass="saw_bass", chords="poly_saw",
            lead="clean_guitar", pad="string_pad", arp="glass_pluck", kit="kit_gated", tempo=(0.4, 1.0),
            voicing="open", lead_centre=69, fill="tom", reverb=0.35, room_s=1.8, echo=0.25, drive=0.3,
        ),
        Artist(
            name="neon_heron", genres=("synthwave",), bass="saw_bass", chords="poly_saw", lead="sync_lead",
            pad="warm_pad", arp="square_pluck", kit="kit_gated", tempo=(0.0, 0.6), centre=62, lead_centre=76,
            density=0.4, loose_ms=1.0, fill="tom", reverb=0.4, room_s=2.2, echo=0.35, drive=0.25,
        ),
        Artist(
            name="mono_garden", genres=("ambient",), bass="sub_bass", chords="soft_pad", lead="sine_bell",
            pad="choir_oo", arp="soft_pluck", kit="kit_soft", tempo=(0.0, 0.6), voicing="spread",
            lead_centre=79, density=0.2, loose_ms=5.0, fill="none", reverb=0.6, room_s=3.5, echo=0.4,
            echo_steps=6, drive=0.0,
        ),
        Artist(
            name="quiet_engine", genres=("ambient", "trance"), bass="round_bass", chords="glass_pad",
            lead="sine_bell", pad="warm_pad", arp="square_pluck", kit="kit_soft", tempo=(0.2, 1.0),
            voicing="open", centre=62, lead_centre=77, density=0.4, loose_ms=2.0, fill="hat_stop", reverb=0.5,
            room_s=2.8, echo=0.4, drive=0.1,
        ),
        Artist(
            name="marble_kite", genres=("trance",), bass="offbeat_bass", chords="super_saw",
            lead="super_lead", pad="choir_pad", arp="super_pluck", kit="kit_909", tempo=(0.3, 1.0), centre=62,
            lead_centre=76, density=0.6, loose_ms=0.0, reverb=0.35, room_s=1.8, echo=0.35, drive=0.3,
        ),
        Artist(
            name="tin_comet", genres=("trap",), bass="bass_808", chords="choir_pad", lead="metal_bell",
            pad="dark_pad", arp="sine_bell", kit="kit_trap", tempo=(0.0, 0.6), centre=58, lead_centre=76,
            density=0.7, loose_ms=0.0, fill="hat_roll", reverb=0.35, room_s=1.8, echo=0.15, drive=0.35,
        ),
        Artist(
            name="ghost_bakery", genres=("trap", "hip_hop"), bass="bass_808", chords="felt_piano",
            lead="flute_lead", pad="string_pad", arp="felt_piano", kit="kit_trap", tempo=(0.3, 1.0),
            voicing="spread", centre=58, loose_ms=2.0, fill="hat_roll", reverb=0.3, room_s=1.6, echo=0.2,
            drive=0.3,
        ),
    )
}
# fmt: on


def pairs() -> tuple[tuple[str, str], ...]:
    """Every (genre, artist) that exists, in an order whose first rounds already show many of both.

    The order interleaves the artists: first every artist's first genre, then every second one, then every
    third.
    """
    longest = max(len(artist.genres) for artist in ARTISTS.values())
    return tuple(
        (artist.genres[place], artist.name)
        for place in range(longest)
        for artist in ARTISTS.values()
        if place < len(artist.genres)
    )
