"""Named styles and the factory library: what a producer picks, and the riff that Segue is tried with.

A preset is a TOML file: a style (a weighted mix of artists and genres), lyrics, sampling per level, a length
in bars, a fidelity, a colour and a MIDI program number.
"""

from presets.library import factory_presets, find_preset, load_preset
from presets.riff import default_riff
from presets.schema import Preset
from presets.styles import resolve_style

__all__ = ["Preset", "default_riff", "factory_presets", "find_preset", "load_preset", "resolve_style"]
