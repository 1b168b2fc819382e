"""``tempo.mid``: tempo, time signature and markers as a MIDI file, which every program can read."""

from __future__ import annotations

import io

from mido import MetaMessage, MidiFile, MidiTrack

from export.projects.sheet import Sheet

TICKS = 960  # per quarter note
MICROSECONDS = 60_000_000


def tempo_file(sheet: Sheet) -> bytes:
    """The file. A tempo is held in whole microseconds per quarter note, as MIDI has it: off by 1 in 10^6 at most."""
    events = [(0, MetaMessage("track_name", name=sheet.title))]
    signature = None
    for change in sheet.tempo:
        at = round(change.at * TICKS)
        if change.signature != signature:
            signature = change.signature
            bars = {"numerator": signature.numerator, "denominator": signature.denominator}
            events.append((at, MetaMessage("time_signature", **bars)))
        events.append((at, MetaMessage("set_tempo", tempo=round(MICROSECONDS / change.bpm))))
    for marker in sheet.markers:
        events.append((round(marker.at * TICKS), MetaMessage("marker", text=marker.name)))
    track, now = MidiTrack(), 0
    for tick, message in sorted(events, key=lambda event: event[0]):
        track.append(message.copy(time=tick - now))
        now = tick
    track.append(MetaMessage("end_of_track", time=max(0, round(sheet.end * TICKS) - now)))
    file = MidiFile(type=1, ticks_per_beat=TICKS, charset="utf-8")
    file.tracks.append(track)
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()
