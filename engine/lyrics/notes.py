"""What a user should know about the lyrics of a request before the take is made; never an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.lyrics.characters import Version, clean
from engine.request import Request

if TYPE_CHECKING:
    from engine.store.config import ModelConfig


def lyric_notes(request: Request, config: ModelConfig) -> tuple[str, ...]:
    """One sentence each: the model reads no lyrics, some characters were spelt otherwise or left out."""
    if not (request.lyrics or request.lyric_times):
        return ()
    wanted = config.priors[config.top].lyrics
    if wanted is None:
        return (unread_note(config.name),)
    text = request.lyrics or "".join(piece.text for piece in request.lyric_times)
    return word_notes(text, wanted.vocabulary)


def unread_note(model: str) -> str:
    """What is said of lyrics for a model that reads none."""
    return f"the model '{model}' reads no lyrics; the take is made without them"


def word_notes(text: str, version: Version) -> tuple[str, ...]:
    """What is said of lyrics for a model that reads characters of ``version``."""
    cleaned = clean(text, version)
    empty = () if cleaned.text.strip() else ("nothing of the lyrics is left to sing",)
    return (*cleaned.notes, *empty)
