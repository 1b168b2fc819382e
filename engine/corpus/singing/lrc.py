"""Lyrics with the time of every word as an LRC file (enhanced: a stamp before every word and after the last)."""

from __future__ import annotations

from engine.corpus.singing.part import SungPart


def _clock(seconds: float) -> str:
    thousandths = round(seconds * 1000)
    minutes, rest = divmod(thousandths, 60_000)
    return f"{minutes:02d}:{rest / 1000:06.3f}"


def lrc_text(part: SungPart) -> str:
    """The part as LRC, times to the millisecond."""
    lines = []
    for number, line in enumerate(part.lines):
        words = [word for word in part.words if word.line == number]
        stamped = " ".join(f"<{_clock(word.start)}>{word.text}" for word in words)
        lines.append(f"[{_clock(line.start)}]{stamped}<{_clock(words[-1].end)}>\n")
    return "".join(lines)
