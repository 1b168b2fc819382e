"""Who plays, as data: every artist is a palette of sounds and habits, at home in one to three genres."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Artist:
    """One artist. Patches are names in `voices.patches`, the kit one in `voices.drums`.

    `tempo` is the part of the genre's tempo range that the artist uses (0..1); `bass_shift`, `centre` and
    `lead_centre` set registers in MIDI notes; `density` (0..1) how many ornaments; `loose_ms` the standard deviation
    of note onsets; `reverb` and `echo` are send levels (0..1); `room_s` the reverb's decay time to -60 dB; `drive` the
    saturation of the mix (0..1); `dark_hz` where the mix starts to roll off (0: it does not).
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


ARTISTS: dict[str, Artist] = {
    artist.name: artist
    for artist in (
        Artist("glass_harbor", ("house", "disco"), "round_bass", "house_piano", "glass_lead", "warm_pad", "glass_pluck",
               "kit_909", (0.0, 0.5), "close", 0, 62, 76, 0.4, 2.0, 0.0, "clap", 0.3, 1.2, 0.2, 3, 0.2),
        Artist("blue_ladder", ("house", "techno", "trance"), "acid_bass", "stab_saw", "reso_lead", "dark_pad",
               "acid_pluck", "kit_909", (0.5, 1.0), "close", 0, 57, 70, 0.6, 0.0, 0.0, "hat_stop", 0.2, 0.9, 0.3, 3, 0.4),
        Artist("night_tram", ("techno",), "sub_bass", "dub_chord", "metal_bell", "dark_pad", "blip", "kit_deep",
               (0.0, 0.5), "open", -2, 56, 72, 0.3, 0.0, 0.0, "tom", 0.45, 2.4, 0.5, 3, 0.3),
        Artist("salt_circuit", ("drum_and_bass", "techno"), "reese_bass", "stab_saw", "square_lead", "dark_pad",
               "acid_pluck", "kit_break", (0.3, 1.0), "open", 0, 58, 72, 0.8, 1.0, 0.0, "snare", 0.25, 1.0, 0.15, 3, 0.6),
        Artist("river_signal", ("drum_and_bass",), "sub_bass", "e_piano", "flute_lead", "choir_pad", "glass_pluck",
               "kit_break", (0.0, 0.6), "spread", 0, 62, 76, 0.5, 2.0, 0.0, "snare", 0.4, 2.0, 0.25, 3, 0.15),
        Artist("copper_fox", ("funk", "disco"), "slap_bass", "clav", "brass_lead", "string_pad", "muted_guitar",
               "kit_dry", (0.3, 1.0), "close", 0, 64, 72, 0.9, 4.0, 0.01, "snare", 0.15, 0.7, 0.0, 3, 0.3),
        Artist("cedar_avenue", ("reggae", "rock", "funk"), "finger_bass", "organ", "clean_guitar", "organ_pad",
               "muted_guitar", "kit_live", (0.2, 0.8), "close", 0, 62, 71, 0.5, 6.0, 0.0, "tom", 0.25, 1.3, 0.1, 6, 0.15),
        Artist("dust_parade", ("hip_hop", "funk"), "finger_bass", "wurli", "muted_trumpet", "string_pad", "vibes",
               "kit_dusty", (0.2, 0.8), "shell", 0, 60, 70, 0.6, 7.0, 0.02, "kick", 0.2, 0.9, 0.0, 3, 0.5, 7000.0),
        Artist("low_tide", ("reggae", "hip_hop"), "dub_bass", "organ_stab", "melodica", "organ_pad", "e_piano",
               "kit_deep", (0.0, 0.5), "close", -2, 60, 73, 0.3, 6.0, 0.0, "rim", 0.4, 2.2, 0.5, 3, 0.2),
        Artist("velvet_static", ("lofi", "hip_hop"), "round_bass", "wurli", "vibes", "warm_pad", "soft_pluck",
               "kit_dusty", (0.0, 0.6), "shell", 0, 60, 72, 0.4, 9.0, 0.02, "none", 0.3, 1.2, 0.1, 6, 0.35, 5500.0),
        Artist("paper_lantern", ("bossa", "lofi"), "upright_bass", "nylon_guitar", "flute_lead", "soft_pad",
               "nylon_guitar", "kit_brush", (0.0, 0.7), "spread", 0, 60, 76, 0.4, 7.0, 0.0, "rim", 0.3, 1.5, 0.0, 3, 0.1),
        Artist("sunday_ferry", ("bossa",), "upright_bass", "e_piano", "clarinet", "string_pad", "vibes", "kit_brush",
               (0.3, 1.0), "shell", 0, 62, 70, 0.6, 5.0, 0.0, "snare", 0.35, 1.8, 0.0, 3, 0.1),
        Artist("iron_orchard", ("rock",), "pick_bass", "fuzz_guitar", "fuzz_lead", "organ_pad", "clean_guitar",
               "kit_live", (0.3, 1.0), "power", 0, 52, 67, 0.7, 4.0, 0.0, "tom", 0.2, 1.1, 0.0, 3, 0.5),
        Artist("amber_motel", ("synthwave", "rock"), "saw_bass", "poly_saw", "clean_guitar", "string_pad",
               "glass_pluck", "kit_gated", (0.4, 1.0), "open", 0, 60, 69, 0.5, 3.0, 0.0, "tom", 0.35, 1.8, 0.25, 3, 0.3),
        Artist("neon_heron", ("synthwave",), "saw_bass", "poly_saw", "sync_lead", "warm_pad", "square_pluck",
               "kit_gated", (0.0, 0.6), "close", 0, 62, 76, 0.4, 1.0, 0.0, "tom", 0.4, 2.2, 0.35, 3, 0.25),
        Artist("mono_garden", ("ambient",), "sub_bass", "soft_pad", "sine_bell", "choir_oo", "soft_pluck", "kit_soft",
               (0.0, 0.6), "spread", 0, 60, 79, 0.2, 5.0, 0.0, "none", 0.6, 3.5, 0.4, 6, 0.0),
        Artist("quiet_engine", ("ambient", "trance"), "round_bass", "glass_pad", "sine_bell", "warm_pad",
               "square_pluck", "kit_soft", (0.2, 1.0), "open", 0, 62, 77, 0.4, 2.0, 0.0, "hat_stop", 0.5, 2.8, 0.4, 3, 0.1),
        Artist("marble_kite", ("trance",), "offbeat_bass", "super_saw", "super_lead", "choir_pad", "super_pluck",
               "kit_909", (0.3, 1.0), "close", 0, 62, 76, 0.6, 0.0, 0.0, "snare", 0.35, 1.8, 0.35, 3, 0.3),
        Artist("tin_comet", ("trap",), "bass_808", "choir_pad", "metal_bell", "dark_pad", "sine_bell", "kit_trap",
               (0.0, 0.6), "close", 0, 58, 76, 0.7, 0.0, 0.0, "hat_roll", 0.35, 1.8, 0.15, 3, 0.35),
        Artist("ghost_bakery", ("trap", "hip_hop"), "bass_808", "felt_piano", "flute_lead", "string_pad", "felt_piano",
               "kit_trap", (0.3, 1.0), "spread", 0, 58, 74, 0.5, 2.0, 0.0, "hat_roll", 0.3, 1.6, 0.2, 3, 0.3),
    )
}


def pairs() -> tuple[tuple[str, str], ...]:
    """Every (genre, artist) that exists, in an order whose first rounds already show many of both.

    The order interleaves the artists: first every artist's first genre, then every second one, then every third.
    """
    longest = max(len(artist.genres) for artist in ARTISTS.values())
    return tuple(
        (artist.genres[place], artist.name)
        for place in range(longest)
        for artist in ARTISTS.values()
        if place < len(artist.genres)
    )
