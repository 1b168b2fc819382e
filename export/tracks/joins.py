"""Where two sounds meet: fades, the seam with the prime, the end of a loop with its beginning."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter, lfiltic

Samples = npt.NDArray[np.float64]

ORDER = 64  # of the linear prediction
LEARNT_SECONDS = 0.05  # of sound that it is made from


def faded(samples: Samples, frames: int) -> Samples:
    """In and out, each over ``frames`` or half of what there is."""
    frames = min(frames, samples.size // 2)
    rise = np.sin(_angle(frames)) ** 2
    result = samples.copy()
    result[:frames] *= rise
    result[samples.size - frames :] *= rise[::-1]
    return result


def crossed(old: Samples, new: Samples) -> Samples:
    """From one sound to another of the same length with equal power.

    Where the two are alike, amplitudes add up and not powers: their correlation says how much, and that much is taken
    back, so that the middle is no louder than the ends.
    """
    angle = _angle(old.size)
    energy = math.sqrt(float(old @ old) * float(new @ new))
    alike = min(1.0, max(0.0, float(old @ new) / energy)) if energy > 0 else 0.0
    return np.asarray(
        (np.cos(angle) * old + np.sin(angle) * new) / np.sqrt(1.0 + alike * np.sin(2.0 * angle))
    )


def joined(before: Samples, after: Samples, rate: int, frames: int) -> Samples:
    """``after``, whose first ``frames`` come out of what ``before`` would have gone on to: no sample is lost or added.

    The continuation begins at the very sample at which the prime ends; nothing of either is there to overlap. But what
    rings on for some milliseconds can be told from the prime's end by linear prediction, and fades into what was made.
    """
    frames = min(frames, after.size)
    if not before.size or not frames:
        return after
    result = after.copy()
    result[:frames] = crossed(ringing_on(before, rate, frames), after[:frames])
    return result


def looped(before: Samples, body: Samples, after: Samples, rate: int, frames: int) -> Samples:
    """``body`` as a loop: its end meets its beginning in a cross-fade of ``frames``, and it keeps its length.

    ``after``: what was made behind the body: it goes on from the end by itself, and fades into the beginning. Where
    there is none, the end fades into ``before``, what was heard before the beginning. Where there is neither, the end
    rings on into the beginning.
    """
    frames = min(frames, body.size // 2)
    result = body.copy()
    if after.size >= frames:
        result[:frames] = crossed(after[:frames], body[:frames])
    elif before.size >= frames:
        result[-frames:] = crossed(body[-frames:], before[-frames:])
        result[:frames] = joined(before, body, rate, frames)[:frames]
    else:
        result[:frames] = joined(body, body, rate, frames)[:frames]
    return result


def ringing_on(samples: Samples, rate: int, frames: int) -> Samples:
    """``frames`` that go on from the end of ``samples``, by linear prediction; they decay."""
    learnt = samples[-max(2 * ORDER, round(LEARNT_SECONDS * rate)) :]
    order = min(ORDER, learnt.size // 2)
    if order < 1 or not learnt.any():
        return np.zeros(frames)
    poles = _prediction(learnt, order)
    state = lfiltic([1.0], poles, learnt[::-1][:order])
    return np.asarray(lfilter([1.0], poles, np.zeros(frames), zi=state)[0])


def _prediction(samples: Samples, order: int) -> Samples:
    """Coefficients 1, a1, ... of the error that prediction from ``order`` samples leaves, by Burg's method: never
    unstable, and true to tones that last longer than what it is learnt from."""
    poles = np.ones(1)
    forward, backward = samples[1:], samples[:-1]
    for _ in range(order):
        energy = float(forward @ forward + backward @ backward)
        if energy <= 1e-18:
            break
        reflection = -2.0 * float(forward @ backward) / energy
        extended = np.append(poles, 0.0)
        poles = extended + reflection * extended[::-1]
        forward, backward = (forward + reflection * backward)[1:], (backward + reflection * forward)[:-1]
    return poles


def _angle(frames: int) -> Samples:
    """From just above 0 to just below a quarter turn."""
    return 0.5 * np.pi * (np.arange(frames) + 0.5) / max(1, frames)
