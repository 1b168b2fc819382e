"""What makes a genre, as data. `GENRES` maps names to them."""

from __future__ import annotations

from engine.corpus.genres.band import BAND
from engine.corpus.genres.club import CLUB
from engine.corpus.genres.genre import Genre, Groove

GENRES: dict[str, Genre] = {genre.name: genre for genre in (*CLUB, *BAND)}

__all__ = ["GENRES", "Genre", "Groove"]
