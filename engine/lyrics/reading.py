"""Lyrics as users give them: typed, or in a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.errors import BadFormat, NoFile, TooLarge
from engine.lyrics.lrc import parse_lrc
from engine.request import TimedText

MAX_FILE_BYTES = 1 << 20


@dataclass(frozen=True)
class Words:
    """Lyrics of a request: ``lyrics``, or with times ``lyric_times``; the other one is empty."""

    lyrics: str = ""
    lyric_times: tuple[TimedText, ...] = ()


def read_lyrics(given: str) -> Words:
    """``given`` is the text itself, or the path of a ``.txt`` file (text) or an ``.lrc`` file (timed lines).

    Raises NoFile, TooLarge (above 1 MiB) or BadFormat.
    """
    suffix = given[-4:].lower()
    if suffix not in (".txt", ".lrc") or "\n" in given:
        return Words(lyrics=given)
    path = Path(given).expanduser()
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise TooLarge(f"'{path}' has {path.stat().st_size} bytes; lyrics have at most {MAX_FILE_BYTES}")
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise NoFile(f"'{path}' is not there; give the lyrics as text, or a .txt or .lrc file") from None
    except UnicodeDecodeError:
        raise BadFormat(f"'{path}' is not UTF-8 text; save it as UTF-8") from None
    except OSError as error:
        raise NoFile(f"'{path}' cannot be opened ({error.strerror}); give a file that can be read") from error
    return Words(lyric_times=parse_lrc(text, f"'{path.name}'")) if suffix == ".lrc" else Words(lyrics=text)
