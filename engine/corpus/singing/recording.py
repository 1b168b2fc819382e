"""Making the bank: every word of the vocabulary in every voice, spoken by espeak-ng and heard once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from engine.corpus.singing.bank import Word, write_bank
from engine.corpus.singing.hearing import hear
from engine.corpus.singing.lyrics import VOCABULARY
from engine.corpus.singing.singers import VOICES
from engine.corpus.singing.speaking import Speaker
from engine.errors import BadFormat, PathNotAllowed

_WORDS_PER_MINUTE, _PITCH = 150, 50
# Alone, the letter is spoken as its name.
_SPOKEN = {"a": "uh"}


def record(speaker: Speaker, voice: str, word: str) -> Word:
    """One word of the bank. Raises BadFormat when it is spoken with another number of syllables than it is sung."""
    spoken = speaker.say(_SPOKEN.get(word, word), voice, _WORDS_PER_MINUTE, _PITCH)
    heard = hear(spoken)
    if len(heard.vowels) != VOCABULARY[word]:
        raise BadFormat(
            f"espeak-ng speaks '{word}' with {len(heard.vowels)} vowels, not {VOCABULARY[word]}: "
            "use another version of it."
        )
    return heard


def recordings() -> list[tuple[str, str]]:
    """(voice, word) of everything that the bank holds."""
    return [(voice, word) for voice in VOICES for word in sorted(VOCABULARY)]


def record_bank(path: Path, progress: Callable[[], object] = lambda: None) -> int:
    """Writes the whole bank to a file and returns its bytes; `progress` is called after every word.

    Raises NotReady without espeak-ng, PathNotAllowed when the file cannot be written.
    """
    speaker = Speaker()
    words = {}
    for voice, word in recordings():
        words[voice, word] = record(speaker, voice, word)
        progress()
    try:
        write_bank(path, words)
        return path.stat().st_size
    except OSError as error:
        raise PathNotAllowed(
            f"{path} cannot be written ({error.strerror}): give a file you may write to."
        ) from error
