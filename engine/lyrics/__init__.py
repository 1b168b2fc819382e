"""Lyrics as a prior reads them: cleaned text, character ids, and the window that belongs to a place in the song.

The rules are those of facts/jukebox.md §4.3; timed lyrics go beyond them, so that fast passages stay in the window.
"""

from engine.lyrics.characters import Cleaned, clean, decode, encode
from engine.lyrics.lrc import parse_lrc
from engine.lyrics.notes import lyric_notes, unread_note, word_notes
from engine.lyrics.reading import Words, read_lyrics
from engine.lyrics.song import SongLyrics, song_lyrics, window_ids

__all__ = [
    "Cleaned",
    "SongLyrics",
    "Words",
    "clean",
    "decode",
    "encode",
    "lyric_notes",
    "parse_lrc",
    "read_lyrics",
    "song_lyrics",
    "unread_note",
    "window_ids",
    "word_notes",
]
