"""The bank of spoken words that the singers' voices are made of: small enough to carry, read with numpy alone.

Every word of every voice is a row of frames of 5 ms: a spectral envelope in 64 bands, how much of four bands is
noise, whether it is voiced, and where its vowels lie.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engine.errors import BadFormat, NoFile

BANK = Path(__file__).with_name("bank.npz")
BANK_VERSION = 1
FRAME_S = 0.005
RATE = 22_050
BANDS = 64
NOISE_BANDS = 4
NOISE_CENTRES_HZ = (500.0, 2000.0, 4500.0, 8500.0)
STEP_DB = 0.4
FLOOR_DB = -100.0

Floats = npt.NDArray[np.float32]


def band_centres() -> npt.NDArray[np.float64]:
    """Centres of the envelope's bands in Hz, shape (64,): even on a mel scale from 0 Hz to 11025 Hz."""
    mel = np.linspace(0.0, 2595 * np.log10(1 + RATE / 2 / 700), BANDS)
    return 700 * (10 ** (mel / 2595) - 1)


@dataclass(frozen=True, eq=False)
class Word:
    """One recording. `envelope` (n, 64) in dB, `noise` (n, 4) in 0..1 of amplitude, `voiced` (n,), and `vowels`:
    (first frame, end) of every syllable's vowel.
    """

    envelope: Floats
    noise: Floats
    voiced: npt.NDArray[np.bool_]
    vowels: tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class Bank:
    """All recordings by (voice, word); `digest` is the SHA-256 of the file."""

    words: dict[tuple[str, str], Word]
    digest: str

    def word(self, voice: str, text: str) -> Word:
        """The recording of a word. Raises BadFormat when the bank lacks it."""
        try:
            return self.words[voice, text]
        except KeyError:
            raise BadFormat(
                f"The bank of voices lacks '{text}' in the voice {voice}: make it again with "
                "`segue corpus voices make`."
            ) from None


def write_bank(path: Path, words: dict[tuple[str, str], Word]) -> None:
    """Writes recordings as a file that `read_bank` reads, the same bytes for the same recordings."""
    names = sorted(words)
    rows = [words[name] for name in names]
    envelope = np.concatenate([row.envelope for row in rows])
    steps = np.clip(np.round((envelope - FLOOR_DB) / STEP_DB), 0, 255).astype(np.uint8)
    # Differences from frame to frame are small numbers, which pack well.
    packed = np.diff(steps, axis=0, prepend=np.zeros((1, BANDS), np.uint8))
    vowels = [(i, *span) for i, row in enumerate(rows) for span in row.vowels]
    arrays = {
        "version": np.array(BANK_VERSION),
        "names": np.array(["\t".join(name) for name in names]),
        "lengths": np.array([len(row.voiced) for row in rows], np.int32),
        "envelope": np.ascontiguousarray(packed.T),
        "noise": np.ascontiguousarray(
            np.round(np.concatenate([row.noise for row in rows]).T * 31).astype(np.uint8)
        ),
        "voiced": np.packbits(np.concatenate([row.voiced for row in rows])),
        "vowels": np.array(vowels, np.int32).reshape(-1, 3),
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_LZMA) as file:
        for name, array in arrays.items():
            inner = io.BytesIO()
            np.save(inner, array)
            file.writestr(zipfile.ZipInfo(f"{name}.npy"), inner.getvalue(), zipfile.ZIP_LZMA)
    path.write_bytes(buffer.getvalue())


@lru_cache(maxsize=2)
def read_bank(path: Path = BANK) -> Bank:
    """The bank in a file, by default the one that comes with Segue.

    Raises NoFile when there is none, BadFormat when it is no bank or one of another version.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise NoFile(
            f"The bank of voices {path} cannot be read ({error.strerror}): give the path of one, or make it with "
            "`segue corpus voices make`."
        ) from error
    try:
        with np.load(io.BytesIO(data)) as file:
            arrays = {name: file[name] for name in file.files}
        if int(arrays["version"]) != BANK_VERSION:
            raise ValueError(f"version {arrays['version']}")
        return Bank(_words(arrays), hashlib.sha256(data).hexdigest())
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise BadFormat(
            f"{path} is no bank of voices ({error}): make one with `segue corpus voices make`."
        ) from error


def _words(arrays: dict[str, np.ndarray]) -> dict[tuple[str, str], Word]:
    steps = np.cumsum(arrays["envelope"].T, axis=0, dtype=np.uint8)
    envelope = steps.astype(np.float32) * np.float32(STEP_DB) + np.float32(FLOOR_DB)
    noise = arrays["noise"].T.astype(np.float32) / np.float32(31)
    voiced = np.unpackbits(arrays["voiced"])[: len(envelope)].astype(bool)
    words = {}
    ends = np.cumsum(arrays["lengths"])
    for number, (name, end) in enumerate(zip(arrays["names"], ends, strict=True)):
        rows = slice(int(end - arrays["lengths"][number]), int(end))
        spans = arrays["vowels"][arrays["vowels"][:, 0] == number]
        voice, text = str(name).split("\t")
        words[voice, text] = Word(
            envelope[rows], noise[rows], voiced[rows], tuple((int(a), int(b)) for _, a, b in spans)
        )
    return words
