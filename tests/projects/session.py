"""A session that has everything: two primes, alternatives, a branch that cuts its parent, rubato, hostile names."""

from __future__ import annotations

from pathlib import Path

from engine.request import Style, StyleChange
from engine.take import Take
from tests.projects.making import frames_of, make_take, riff, tone

HOSTILE = "\"Löwe\" & 'Maus' <`ジュース`>"


def make_session(root: Path) -> list[Take]:
    """Takes A01 to A06; A05 is rubato, A06 of a second prime at 90.5 bpm."""
    prime = riff(16, 124)
    change = (StyleChange(at_frame=frames_of(4, 124), style=Style(genres={"reggae": 1.0})),)
    one = make_take(
        root, prime=prime, frames=frames_of(16, 124), bpm=124, seed=1, style=Style(genres={"house": 1.0})
    )
    two = make_take(
        root,
        prime=prime,
        frames=frames_of(16, 124),
        bpm=124,
        seed=2,
        name=HOSTILE,
        marks={"rating": 3, "color": "#12ab9f", "kept": True},
        style_changes=change,
        hertz=440,
    )
    three = make_take(
        root,
        after=two,
        used=frames_of(12, 124),
        frames=frames_of(8, 124),
        bpm=124,
        marks={"rating": 4},
        hertz=550,
    )
    four = make_take(root, after=one, frames=frames_of(8, 124), bpm=124, hertz=660)
    five = make_take(root, prime=tone(50_000, 90), frames=30_000, path="/riffs/rubato.wav")
    six = make_take(
        root, prime=riff(8, 90.5, 110), frames=frames_of(8, 90.5), bpm=90.5, path="C:\\riffs\\slow.wav"
    )
    return [one, two, three, four, five, six]
