"""All continuations of one system in a line."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from engine.evaluation.continuations import Copied, System
from engine.evaluation.musical import CLOSE, OCTAVES, Comparison
from engine.request import Frozen

BEAT_WITHIN = 0.125  # of a beat: half a sixteenth, beyond which a beat is heard to stumble
LOUDNESS_WITHIN = 2.0  # LU


class SystemSummary(Frozen):
    """All continuations of one system. Shares are 0..1 of the primes; medians leave out what has no value.

    ``system``: "model"; "real", what the song itself goes on with, and "codec", the same through the codec at the
    fidelity that is measured (the ceiling of any prior); "shuffled", what another song goes on with; "noise",
    white noise as loud as the prime.

    ``tempo_close``: within 2 % of the tempo heard in the prime; ``tempo_true``: within 2 % of the metadata's, or of
    its half, third, double or triple, which is as far as an ear for tempo can be trusted; ``key_true``: same key as the
    metadata's or relative; both None without metadata. ``beat_kept``: the beat goes on within an eighth of a beat;
    ``beat_offset_ms``, ``beat_offset``: median of how far off it is, in beats. ``loudness_kept``: within 2 LU of the
    prime. ``loudness_drift``: median LU from beginning to end, unsigned. ``seam_db``, ``usual_db``, ``seam_click_db``:
    medians. ``style``: the classifier hears the genre that was asked for. ``copied_prime``, ``copied_songs``: medians
    of the longest runs, in seconds. ``frechet``: distance from the primes.
    """

    system: System
    tempo_same: float
    tempo_octave: float
    tempo_error_percent: float | None
    key_same: float
    key_relative: float
    loudness_difference: float | None
    timbre_db: float
    silent: float
    collapsed: float
    tempo_close: float | None = None
    tempo_true: float | None = None
    key_true: float | None = None
    beat_kept: float | None = None
    beat_offset: float | None = None
    beat_offset_ms: float | None = None
    loudness_kept: float | None = None
    loudness_drift: float | None = None
    seam_db: float | None = None
    usual_db: float | None = None
    seam_click_db: float | None = None
    style: float | None = None
    copied_prime: float | None = None
    copied_songs: float | None = None
    frechet: float | None = None


def summarise(
    system: System,
    comparisons: Sequence[Comparison],
    right: Sequence[bool] = (),
    copied: Sequence[Copied] = (),
    frechet: float | None = None,
) -> SystemSummary:
    """One line of the report from the comparisons of one system (at least one); ``right``: whether the classifier
    hears each one's genre."""
    known = [c for c in comparisons if c.true_bpm is not None]
    return SystemSummary(
        system=system,
        tempo_same=_share([c.tempo == "same" for c in comparisons]),
        tempo_octave=_share([c.tempo == "octave" for c in comparisons]),
        tempo_error_percent=_median([c.tempo_error_percent for c in comparisons]),
        key_same=_share([c.key == "same" for c in comparisons]),
        key_relative=_share([c.key == "relative" for c in comparisons]),
        loudness_difference=_size([c.loudness_difference for c in comparisons]),
        timbre_db=statistics.median(c.timbre_db for c in comparisons),
        silent=statistics.fmean(c.silent for c in comparisons),
        collapsed=_share([c.collapsed for c in comparisons]),
        tempo_close=_share([_within(c.tempo_error_percent, 100 * CLOSE) for c in comparisons]),
        tempo_true=_share([true_tempo(c) for c in known]) if known else None,
        key_true=_share([c.key_true in ("same", "relative") for c in known]) if known else None,
        beat_kept=_share([_within(c.beat_offset, BEAT_WITHIN) for c in comparisons]),
        beat_offset=_size([c.beat_offset for c in comparisons]),
        beat_offset_ms=_size([c.beat_offset_ms for c in comparisons]),
        loudness_kept=_share([_within(c.loudness_difference, LOUDNESS_WITHIN) for c in comparisons]),
        loudness_drift=_size([c.loudness_drift for c in comparisons]),
        seam_db=_median([c.seam_db for c in comparisons]),
        usual_db=_median([c.usual_db for c in comparisons]),
        seam_click_db=_median([c.seam_click_db for c in comparisons]),
        style=_share(right) if right else None,
        copied_prime=_median([one.prime_seconds for one in copied]),
        copied_songs=_median([one.songs_seconds for one in copied]),
        frechet=frechet,
    )


def true_tempo(found: Comparison) -> bool:
    """Whether the tempo is within 2 % of the metadata's, or of one of its octaves."""
    if found.bpm is None or found.true_bpm is None:
        return False
    return any(abs(found.bpm / (found.true_bpm * octave) - 1.0) <= CLOSE for octave in (1.0, *OCTAVES))


def _within(value: float | None, limit: float) -> bool:
    return value is not None and abs(value) <= limit


def _share(hits: Sequence[bool]) -> float:
    return sum(hits) / len(hits)


def _median(values: Sequence[float | None]) -> float | None:
    numbers = [value for value in values if value is not None]
    return statistics.median(numbers) if numbers else None


def _size(values: Sequence[float | None]) -> float | None:
    """Median without signs."""
    return _median([None if value is None else abs(value) for value in values])
