"""From a take to a track: whole bars, seams, loudness, rate. Pure: the same take and wishes give the same samples."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from engine.analysis.loudness import measure_loudness
from engine.audio import Waveform
from engine.errors import BadFormat, NoFile, SegueError, TooShort
from engine.take import Take
from engine.take.marks import Marks, read_marks
from export.tracks.finding import name_of
from export.tracks.joins import Samples, faded, joined, looped
from export.tracks.levels import CEILING_DBTP, MOST_GAIN_DB, Limited, loudness_of, under_ceiling
from export.tracks.timing import key_of, place_of, tempo_of
from export.tracks.track import Done, FinishedTrack, Seam
from export.tracks.wishes import TrackWishes

FADE_SECONDS = 0.005  # of the ends of a continuation alone
SEAM_SECONDS = 0.01  # in which the prime rings on
LOOP_SECONDS = 0.03
MOST_CUES = 64
NEAR_LU = 0.5  # what is called as loud as was asked for


def finish(take: Take, wishes: TrackWishes) -> FinishedTrack:
    """The take as a track.

    Raises TooShort for a take without audio, NoFile or BadFormat where its files are gone or broken.
    """
    source = _Source(take, wishes)
    body, gain_db = source.levelled()
    track = source.put_together(body)
    if not isinstance(wishes.loudness, str):
        track, more_db = source.normalised(track)
        gain_db += more_db
    track = source.at_rate(track)
    limited = Limited(track)
    if wishes.loudness != "made":
        limited = under_ceiling(track, source.rate, loop=wishes.loop)
        source.tell_limited(limited)
    samples = limited.samples.astype(np.float32)
    begin = round(Fraction(source.begin * source.rate, source.head.rate))
    place, placed = source.place(Fraction(begin, source.rate))
    loudness = measure_loudness(samples, source.rate)
    source.tell_missed(loudness.integrated)
    return FinishedTrack(
        take=take,
        name=name_of(take, source.marks),
        marks=source.marks,
        wishes=wishes,
        samples=samples,
        rate=source.rate,
        begin=begin,
        place=place,
        placed=placed,
        tempo=source.tempo,
        bars=source.bars,
        key=key_of(source.head),
        seams=source.seams(begin, samples.size),
        loudness=loudness,
        done=Done(
            gain_db - limited.lowered_db,
            limited.limited_db,
            limited.limited_seconds,
            int(np.count_nonzero(np.abs(samples) > 1.0)),
            tuple(source.notes),
        ),
    )


class _Source:
    """The sounds of a take at its own rate, and what is wanted of them. ``notes`` are told to people."""

    def __init__(self, take: Take, wishes: TrackWishes) -> None:
        self.take, self.head, self.wishes = take, take.info.head, wishes
        self.notes: list[str] = []
        self.rate = wishes.rate or self.head.rate
        self.made = take.audio().mono_samples().astype(np.float64)
        if not self.made.size:
            raise TooShort(f"the take {self.head.name} holds no audio yet; resume it before it is exported")
        if take.info.state == "partial":
            seconds, wanted = take.info.seconds, self.head.request.frames / self.head.rate
            self.notes.append(f"the take was cut short: {seconds:.2f} s of {wanted:.2f} s were made")
        self.prime = self._prime()
        self.marks = self._marks()
        self.begin = self.prime.size if wishes.full else 0
        self.tempo = tempo_of(self.head)
        self.cross = round(LOOP_SECONDS * self.head.rate)
        self.bars, self.length = self._length()

    def _prime(self) -> Samples:
        if not self.head.prime_frames:
            if self.wishes.full:
                raise NoFile(
                    f"the take {self.head.name} was made from nothing, so no prime goes in front of it"
                )
            return np.zeros(0)
        try:
            return self.take.prime().mono_samples().astype(np.float64)
        except SegueError as error:
            if self.wishes.full:
                raise
            self.notes.append(f"its prime cannot be read, so nothing is matched to it: {error.message}")
            return np.zeros(0)

    def _marks(self) -> Marks:
        try:
            return read_marks(self.take.folder)
        except BadFormat as error:
            self.notes.append(error.message)
            return Marks()

    def _length(self) -> tuple[int | None, int]:
        """Whole bars, and their length; all that was made in free time, or where it is less than a bar.

        A loop without a prime whose end fades into its beginning gives up a bar to it, or what the fade takes.
        """
        alone = self.wishes.loop and not self.prime.size
        made = self.made.size
        cut = self.tempo is not None and self.wishes.whole
        bars = self.tempo.whole_bars(made, self.head.rate) or None if self.tempo and cut else None
        if self.tempo is None or bars is None:
            if cut:
                self.notes.append("less than a bar was made, so it is not cut to whole bars")
            return None, max(1, made - self.cross) if self.wishes.loop else made
        length = self.tempo.frames(bars, self.head.rate)
        if alone and bars > 1 and made - length < self.cross:
            bars -= 1
            length = self.tempo.frames(bars, self.head.rate)
            self.notes.append("the last bar was given up, so that the loop's end goes on into its beginning")
        if made - length > 1:
            rest = (made - length) / self.head.rate
            self.notes.append(f"it is cut to {bars} whole bars; {rest:.2f} s behind them are left out")
        return bars, min(length, made)

    # -- loudness ---------------------------------------------------------------------------------------------------

    def levelled(self) -> tuple[Samples, float]:
        """What was made, as loud as the prime if that is wanted; and the gain in dB."""
        if self.wishes.loudness == "made" or not (self.prime.size or self.wishes.loudness == "prime"):
            return self.made, 0.0
        theirs = loudness_of(self.prime, self.head.rate) if self.prime.size else None
        ours = loudness_of(self.made[: self.length], self.head.rate)
        if theirs is None or ours is None:
            if self.prime.size:
                self.notes.append(
                    "prime or take is silent or shorter than 0.4 s, so its loudness is left as it was made"
                )
            return self.made, 0.0
        gain = min(MOST_GAIN_DB, max(-MOST_GAIN_DB, theirs - ours))
        if gain != theirs - ours:
            self.notes.append(
                f"the prime is {theirs - ours:+.1f} dB from the take; the gain is limited to {gain:+.0f} dB"
            )
        return self.made * 10.0 ** (gain / 20.0), gain

    def normalised(self, track: Samples) -> tuple[Samples, float]:
        """The track with the loudness that was stated, and the gain in dB."""
        ours = loudness_of(track, self.head.rate)
        if ours is None or isinstance(self.wishes.loudness, str):
            self.notes.append("the track is silent or shorter than 0.4 s, so its loudness is left as it is")
            return track, 0.0
        gain = self.wishes.loudness - ours
        return track * 10.0 ** (gain / 20.0), gain

    def tell_limited(self, limited: Limited) -> None:
        """Say what the ceiling cost."""
        if limited.limited_db:
            self.notes.append(
                f"peaks were limited by up to {limited.limited_db:.1f} dB for {1000 * limited.limited_seconds:.0f} ms "
                f"to stay below {CEILING_DBTP:g} dBTP"
            )
        if limited.lowered_db > 0.1:
            self.notes.append(
                f"the whole track was lowered by {limited.lowered_db:.1f} dB besides, to spare its peaks"
            )

    def tell_missed(self, loudness: float | None) -> None:
        """Say when a stated loudness was not reached."""
        wanted = self.wishes.loudness
        if not isinstance(wanted, str) and loudness is not None and abs(loudness - wanted) > NEAR_LU:
            self.notes.append(
                f"it comes to {loudness:.1f} LUFS instead of {wanted:g}, since its peaks allow no more"
            )

    # -- sound ------------------------------------------------------------------------------------------------------

    def put_together(self, made: Samples) -> Samples:
        """The track at the take's own rate."""
        rate, fade = self.head.rate, round(FADE_SECONDS * self.head.rate)
        body, after = made[: self.length], made[self.length :]
        if self.wishes.loop:
            return looped(self.prime, body, after, rate, self.cross)
        if self.wishes.full:
            seamless = joined(self.prime, body, rate, round(SEAM_SECONDS * rate))
            seamless[seamless.size - fade :] = faded(seamless, fade)[seamless.size - fade :]
            return np.concatenate([self.prime, seamless])
        return faded(body, fade)

    def at_rate(self, track: Samples) -> Samples:
        """The track at the wanted rate, as long as its bars are there to the sample."""
        own, rate = self.head.rate, self.rate
        wanted = round(Fraction(self.begin * rate, own)) + self._at_rate(track.size - self.begin)
        if rate != own:
            # What lies around a loop is the loop itself; a whole number of samples at both rates.
            margin = own // np.gcd(own, rate) * 8 if self.wishes.loop else 0
            around = np.pad(track, margin, mode="wrap")
            resampled = Waveform.of_mono(around.astype(np.float32), own).resample(rate).mono_samples()
            track = resampled[margin * rate // own :][:wanted].astype(np.float64)
        return np.pad(track[:wanted], (0, max(0, wanted - track.size)))

    def _at_rate(self, frames: int) -> int:
        if self.tempo is not None and self.bars is not None:
            return self.tempo.frames(self.bars, self.rate)
        return round(Fraction(frames * self.rate, self.head.rate))

    # -- places -----------------------------------------------------------------------------------------------------

    def place(self, before: Fraction) -> tuple[Fraction, bool]:
        """Seconds from the beginning of the song to the track, whose continuation begins ``before`` seconds later; and
        whether that was stated."""
        place, stated = place_of(self.head)
        if place < before:
            self.notes.append(
                "the prime would begin before the song does, so the track is placed at its beginning"
            )
            return Fraction(0), False
        return place - before, stated

    def seams(self, begin: int, frames: int) -> tuple[Seam, ...]:
        """Where the prime ends, and where windows meet: of the finest level that has not too many of them."""
        info = self.take.info
        starts = next(
            (some for level in sorted(info.tokens) if len(some := info.window_starts(level)) <= MOST_CUES), []
        )
        places = [begin + round(Fraction(start * self.rate, self.head.rate)) for start in starts]
        windows = [
            Seam(place, f"window {number}") for number, place in enumerate(places, 2) if place < frames
        ]
        return ((Seam(begin, "seam"),) if begin else ()) + tuple(windows)
