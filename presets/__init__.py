"""Named styles and the factory library: what a producer picks, and the riff that Segue is tried with.

A preset is a TOML (or JSON) file: a style (a weighted mix of artists and genres), what happens to lyrics and seed,
sampling per level, a length in bars and a quantum, a fidelity, hints of tempo and key, a colour and a place among the
MIDI programs.
"""

from presets.library import Changes, Entry, Library, Origin, factory_presets, find_preset, user_folder
from presets.morph import mixed_style, morph
from presets.playing import Fitted, fitted_style, lyrics_of, request_of, seed_of
from presets.quantum import Quantum
from presets.reading import load_preset
from presets.riff import default_riff
from presets.schema import LyricsPolicy, Preset
from presets.styles import resolve_style
from presets.writing import preset_toml

__all__ = [
    "Changes",
    "Entry",
    "Fitted",
    "Library",
    "LyricsPolicy",
    "Origin",
    "Preset",
    "Quantum",
    "default_riff",
    "factory_presets",
    "find_preset",
    "fitted_style",
    "load_preset",
    "lyrics_of",
    "mixed_style",
    "morph",
    "preset_toml",
    "request_of",
    "resolve_style",
    "seed_of",
    "user_folder",
]
