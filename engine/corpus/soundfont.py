"""A soundfont, played by FluidSynth, as a second set of instruments for the parts that imitate real ones."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
import wave
from pathlib import Path

import numpy as np

from engine.corpus.midi import solo_bytes
from engine.corpus.score import Note
from engine.corpus.voices.patches import PATCHES
from engine.corpus.voices.signal import SAMPLE_RATE, Signal
from engine.errors import BadFormat, NoFile

# Patches that imitate an instrument which General MIDI has; the others are synthesisers and stay so.
ACOUSTIC = frozenset(
    {"house_piano", "felt_piano", "e_piano", "wurli", "clav", "organ", "nylon_guitar", "clean_guitar", "muted_guitar",
     "vibes", "flute_lead", "clarinet", "muted_trumpet", "brass_lead", "melodica", "string_pad", "choir_pad",
     "upright_bass", "finger_bass", "pick_bass", "slap_bass"}
)  # fmt: skip


def fluidsynth_present() -> bool:
    """Whether the `fluidsynth` program is installed."""
    return shutil.which("fluidsynth") is not None


def soundfont_digest(path: Path) -> str:
    """The first 16 digits of the SHA-256 of a soundfont, which names it in a manifest.

    Raises NoFile when it is not there, BadFormat when it is no SF2 or SF3 file.
    """
    if not path.is_file():
        raise NoFile(f"The soundfont {path} is not there: give the path of an .sf2 or .sf3 file.")
    digest = hashlib.sha256()
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] != b"RIFF" or head[8:] != b"sfbk":
            raise BadFormat(f"{path} is no soundfont: give the path of an .sf2 or .sf3 file.")
        digest.update(head)
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()[:16]


def play(notes: tuple[Note, ...], patch: str, bpm: float, count: int, soundfont: Path) -> Signal:
    """A dry track of a patch's General MIDI program, mono at 44.1 kHz, shape (count,).

    Raises BadFormat when FluidSynth cannot play the soundfont.
    """
    with tempfile.TemporaryDirectory(prefix="segue-") as folder:
        midi, audio = Path(folder) / "track.mid", Path(folder) / "track.wav"
        midi.write_bytes(solo_bytes(notes, bpm, PATCHES[patch].program))
        command = ["fluidsynth", "-ni", "-R", "0", "-C", "0", "-g", "0.5", "-r", str(SAMPLE_RATE), "-T", "wav",
                   "-O", "s16", "-F", str(audio), str(soundfont), str(midi)]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        # It falls back to another soundfont, and succeeds, where it cannot load the one it was given.
        unloaded = "failed to load" in done.stderr.lower()
        if done.returncode != 0 or unloaded or not audio.exists():
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise BadFormat(f"FluidSynth cannot play {soundfont} ({reason}): give another soundfont or none.")
        with wave.open(str(audio), "rb") as file:
            pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, file.getnchannels())
    mono = pcm.mean(axis=1, dtype=np.float32)[:count] / np.float32(32768)
    track = np.zeros(count, np.float32)
    track[: len(mono)] = mono
    return track
