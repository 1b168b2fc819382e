"""Where in the song a take lies, for the top prior's time signal (facts/jukebox.md §4.1)."""

from __future__ import annotations

from engine.errors import OutOfRange
from engine.request import Request, SongPosition
from engine.store.config import ModelConfig

ASSUMED_SONG_SECONDS = 90.0  # a song whose length nobody stated, and
ASSUMED_PRIME_AT_SECONDS = (
    30.0  # where in it a riff lies: the middle of the form, not an intro, not an ending
)
LATEST_START = 1 / 2  # of an assumed song: what is continued again and again stays in its middle,
LATEST_END = 5 / 6  # and what is longer begins earlier, or is part of a longer song


def song_span(config: ModelConfig, request: Request, before: int, seam: int) -> tuple[int, int]:
    """(length of the song, position 0 in it), in samples.

    ``before``, ``seam``: samples of prime before position 0, and from there to the continuation. A position that
    was assumed is moved into the top prior's range; one that was given must lie in it, else OutOfRange.
    """
    if request.song is None:
        return _assumed(config, request, before, seam)
    total = round(request.song.total_seconds * config.rate)
    _check_length(config, request.song)
    if request.song.ending:
        offset = total - request.frames - seam
        if offset < 0:
            raise OutOfRange(
                f"{(request.frames + seam) / config.rate:.1f} s of prime and ending do not fit into a song of "
                f"{request.song.total_seconds:g} s; give a longer song, or a shorter prime or ending"
            )
        return total, offset
    offset = round(request.song.prime_at_seconds * config.rate) + before
    if offset + seam >= total:
        raise OutOfRange(
            f"the continuation would begin at {(offset + seam) / config.rate:.1f} s of a song of "
            f"{request.song.total_seconds:g} s; it must begin before the song ends"
        )
    return total, offset


def fitted(config: ModelConfig, song: SongPosition, prime_seconds: float) -> SongPosition | None:
    """A position that nobody chose, such as that of a piece of a recording, moved to the nearest allowed one.

    None where no song that the model knows is longer than the prime.
    """
    total = _clamped(config, song.total_seconds)
    latest = total - prime_seconds - 0.1
    if latest <= 0:
        return None
    return song.model_copy(
        update={"total_seconds": total, "prime_at_seconds": min(song.prime_at_seconds, latest)}
    )


def _clamped(config: ModelConfig, total_seconds: float) -> float:
    limits = config.priors[config.top].time
    if limits is None:
        return total_seconds
    return min(max(total_seconds, limits.min_seconds), limits.max_seconds)


def _check_length(config: ModelConfig, song: SongPosition) -> None:
    limits = config.priors[config.top].time
    if limits is not None and not limits.min_seconds <= song.total_seconds <= limits.max_seconds:
        raise OutOfRange(
            f"the song is {song.total_seconds:g} s long; this model knows songs from "
            f"{limits.min_seconds:g} to {limits.max_seconds:g} s"
        )


def _assumed(config: ModelConfig, request: Request, before: int, seam: int) -> tuple[int, int]:
    """As :func:`song_span`. A chain of takes walks into the middle of the song and is held there: nobody has said that
    it should come to an end."""
    heard = seam + request.frames
    total = round(_clamped(config, max(ASSUMED_SONG_SECONDS, heard / LATEST_END / config.rate)) * config.rate)
    at = 0 if before + seam == 0 else round(ASSUMED_PRIME_AT_SECONDS * config.rate) + before
    latest = min(round(LATEST_START * total), round(LATEST_END * total) - heard)
    return total, min(at, max(0, latest))


def stated_song(
    config: ModelConfig,
    total_seconds: float | None,
    prime_at_seconds: float | None,
    ending: bool,
    heard_seconds: float,
) -> SongPosition | None:
    """The position in the song from what somebody said of it; what they left out is assumed so that it fits.

    ``heard_seconds``: prime and continuation together. None when nothing was said.
    """
    if total_seconds is None and prime_at_seconds is None and not ending:
        return None
    total = total_seconds
    if total is None:
        total = _clamped(config, max(ASSUMED_SONG_SECONDS, heard_seconds + (prime_at_seconds or 0.0)))
    if ending:
        return SongPosition(total_seconds=total, ending=True)
    share = ASSUMED_PRIME_AT_SECONDS / ASSUMED_SONG_SECONDS
    at = min(share * total, max(0.0, total - heard_seconds)) if prime_at_seconds is None else prime_at_seconds
    return SongPosition(total_seconds=total, prime_at_seconds=at)
