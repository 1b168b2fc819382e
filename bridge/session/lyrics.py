"""The words of the next takes, as clients set them: all at once or line by line."""

from __future__ import annotations

from dataclasses import dataclass

from engine.errors import OutOfRange
from engine.lyrics import unread_note, word_notes
from engine.lyrics.characters import Version
from engine.request import MAX_LYRICS


@dataclass(frozen=True)
class LyricSheet:
    """Words as a text of lines."""

    text: str = ""

    def with_line(self, number: int, text: str) -> LyricSheet:
        """A copy with line ``number`` (from 1) replaced; lines before it that are not there are empty."""
        lines = self.text.split("\n") if self.text else []
        lines += [""] * (number - len(lines))
        lines[number - 1] = text.replace("\n", " ")
        return LyricSheet("\n".join(lines).rstrip("\n"))

    def check(self) -> None:
        """Raises :class:`OutOfRange` for more words than a song can hold."""
        if len(self.text) > MAX_LYRICS:
            raise OutOfRange(f"the lyrics have {len(self.text)} characters; at most {MAX_LYRICS} are sung")

    def notes(self, model: str, reads: Version | None) -> tuple[str, ...]:
        """What the user should know: the loaded model reads none, or which characters it reads otherwise."""
        if not self.text:
            return ()
        return (unread_note(model),) if reads is None else word_notes(self.text, reads)
