"""Make chants to teach a prior lyrics on: spoken words in time, each with its ``.lrc`` beside it.

    python scripts/make_chants.py OUT [--songs 80] [--seconds 14] [--seed 1]

Every song says one word of a few over and over, in one of several voices, on a beat. The words come from
espeak-ng, which has to be installed. Deterministic from the seed.
"""

from __future__ import annotations

import argparse
import io
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

RATE = 44100
WORDS = ("go", "sun", "river", "fire", "money", "baby", "tonight", "seven")
VOICES = ("en-us+m1", "en-us+m3", "en-us+f2", "en-us+f4")


def say(word: str, voice: str, pitch: int) -> NDArray[np.float32]:
    """One spoken word, mono at 44.1 kHz, peak 0.6."""
    done = subprocess.run(
        ["espeak-ng", "-v", voice, "-p", str(pitch), "-s", "190", "--stdout", word],
        capture_output=True,
        check=True,
    )
    samples, rate = soundfile.read(io.BytesIO(done.stdout), dtype="float32")
    sound = np.asarray(soxr.resample(samples, rate, RATE), dtype=np.float32)
    loud = np.flatnonzero(np.abs(sound) > 0.02 * np.abs(sound).max())
    sound = sound[loud[0] : loud[-1] + 1]
    return 0.6 * sound / np.abs(sound).max()


def make_song(rng: np.random.Generator, word: str, seconds: float) -> tuple[NDArray[np.float32], str]:
    """Audio of ``seconds`` and its LRC text."""
    sound = say(word, str(rng.choice(VOICES)), int(rng.integers(30, 80)))
    beat = 60.0 / float(rng.uniform(70, 110))
    song = np.zeros(round(seconds * RATE), np.float32)
    lines = []
    for number in range(int(seconds / beat)):
        start = round(number * beat * RATE)
        piece = sound[: song.size - start]
        song[start : start + piece.size] += piece
        minutes, rest = divmod(number * beat, 60)
        lines.append(f"[{int(minutes):02d}:{rest:05.2f}]{word}")
    return np.clip(song, -1, 1), "\n".join(lines) + "\n"


def main() -> None:
    """Write the songs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--songs", type=int, default=80)
    parser.add_argument("--seconds", type=float, default=14.0)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    if shutil.which("espeak-ng") is None:
        sys.exit("espeak-ng is not installed; on Debian or Ubuntu: apt-get install espeak-ng")
    given.out.mkdir(parents=True, exist_ok=True)
    for number in range(given.songs):
        rng = np.random.default_rng([given.seed, number])
        word = WORDS[number % len(WORDS)]
        song, lrc = make_song(rng, word, given.seconds)
        soundfile.write(given.out / f"chant-{number:04d}.wav", song, RATE)
        (given.out / f"chant-{number:04d}.lrc").write_text(lrc, encoding="utf-8")
    print(f"{given.songs} chants in {given.out}")


if __name__ == "__main__":
    main()
