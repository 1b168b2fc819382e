"""What a user should know about the lyrics of a request before the take is made; never an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.lyrics.song import song_lyrics
from engine.request import Request

if TYPE_CHECKING:
    from engine.store.config import ModelConfig


def lyric_notes(request: Request, config: ModelConfig) -> tuple[str, ...]:
    """One sentence each: the model reads no lyrics, some characters were spelt otherwise or left out."""
    if not (request.lyrics or request.lyric_times):
        return ()
    wanted = config.priors[config.top].lyrics
    if wanted is None:
        return (f"the model '{config.name}' reads no lyrics; the take is made without them",)
    song = song_lyrics(request, wanted, config.rate)
    empty = () if song.text.strip() else ("nothing of the lyrics is left to sing",)
    return (*song.notes, *empty)
