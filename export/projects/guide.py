"""``README.txt`` of an exported folder: what each file is, and what to do with it in which program."""

from __future__ import annotations

import itertools
from fractions import Fraction

from export.projects.sheet import Sheet

_DAWS = """\
REAPER
  Open session.rpp. The takes are takes of one item: T steps through them, the notes of the item hold the recipes.
  Keep the folder together; paths are relative.

Bitwig Studio 5.0.9 or newer
  File > Open, choose session.dawproject. Prime and takes lie warped in the arranger, each on its own track.

Studio One 6.5 or newer
  File > Open, choose session.dawproject.

Cubase 14 or newer
  File > Import > DAWproject, choose session.dawproject. Musical Mode follows the tempo.

Ableton Live
  Drag tempo.mid onto an empty MIDI track and answer Yes when Live asks to import its tempo. Then drag the WAVs of
  audio/ to the bars listed below.

Logic Pro
  File > Import > MIDI File, choose tempo.mid and import its tempo. Then drag the WAVs of audio/ to the bars below.

FL Studio
  Set the project's tempo (below), then drag the WAVs of audio/ into the playlist, to the bars below.

Ardour
  Session > Import, choose tempo.mid with the tempo map, then the WAVs of audio/ as tracks, and move them to the bars
  below.
"""


def guide(sheet: Sheet) -> str:
    """The text, in lines of 110 characters or little more."""
    return "\n".join(
        [f"{sheet.title}, exported by Segue", "", *_files(sheet), "", _DAWS, *_places(sheet), ""]
    )


def _files(sheet: Sheet) -> list[str]:
    told = [
        "session.dawproject   everything in one file, for Bitwig, Studio One and Cubase",
        "session.rpp          the same for REAPER; takes of one place are takes of one item",
        "tempo.mid            tempo, time signature and markers, for any program",
        "audio/               the WAVs",
    ]
    if sheet.notes:
        told += ["", "Left out", *(f"  {note}" for note in sheet.notes)]
    return told


def _places(sheet: Sheet) -> list[str]:
    told = ["Tempo"]
    for change in sheet.tempo:
        signature = change.signature
        told.append(
            f"  from {_bar(change.at, sheet)} on: {float(change.bpm):.6g} bpm, "
            f"{signature.numerator}/{signature.denominator}"
        )
    told += ["", "Where everything begins (bar.beat, then seconds and samples)"]
    width = max((len(clip.sound.name) for clip in sheet.clips()), default=0)
    for clip in sheet.clips():
        seconds = float(sheet.seconds_at(clip.start))
        sample = sheet.sample_at(clip.start, clip.sound.rate)
        told.append(
            f"  {clip.sound.name:<{width}}  {_bar(clip.start, sheet):>9}  {seconds:10.4f} s"
            f"  {sample:>10}  {clip.name}: {clip.note}"
        )
    return told


def _bar(beat: Fraction, sheet: Sheet) -> str:
    """``5.1``: the first beat of the fifth bar; beats are those of the time signature."""
    bars, number = Fraction(0), 0
    for change, after in itertools.pairwise([*sheet.tempo, None]):
        assert change is not None
        number = change.signature.denominator
        if after is None or after.at > beat:
            bars += (beat - change.at) / change.signature.beats
            rest = (bars - int(bars)) * change.signature.beats * number / 4
            break
        bars += (after.at - change.at) / change.signature.beats
    return f"{int(bars) + 1}.{float(rest) + 1:.3f}".rstrip("0").rstrip(".")
