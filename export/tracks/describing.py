"""What a track's file says of it, to whoever reads it."""

from __future__ import annotations

import hashlib
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from datetime import datetime

from text_unidecode import unidecode

from engine.request import NOTES
from export.tracks import riff
from export.tracks.naming import bpm_of, style_of
from export.tracks.track import FinishedTrack

MIDDLE_C, ACID_C = 60, 48
IXML_VERSION = "2.10"
LONG = 256  # of a description


def chunks(track: FinishedTrack) -> Iterator[bytes]:
    """What stands in a WAV beside its sound, but for bext."""
    yield ixml(track)
    yield acid(track)
    if track.wishes.loop:
        yield riff.sampler_loop(track.rate, track.frames, MIDDLE_C)
    yield riff.cues([(at, label) for at, label in points(track)])
    yield riff.info(
        {
            "INAM": track.name,
            "IART": "Segue",
            "IGNR": style_of(track.take.info.head.request.style),
            "ICRD": created(track).date().isoformat(),
            "ISFT": software(track),
            "ICMT": comment(track),
        }
    )


def points(track: FinishedTrack) -> Iterator[tuple[int, str]]:
    """Cue points: where the continuation begins, its seams, the ends of a loop."""
    if not track.begin:
        yield 0, "loop start" if track.wishes.loop else "start"
    elif not any(seam.frame == 0 for seam in track.seams):
        yield 0, "prime"
    for seam in track.seams:
        yield seam.frame, seam.label
    if track.wishes.loop:
        yield track.frames - 1, "loop end"


def software(track: FinishedTrack) -> str:
    """``Segue 0.1.0``, the version that made the take."""
    return f"Segue {track.take.info.head.engine_version}"


def created(track: FinishedTrack) -> datetime:
    """When the take was made: not when it is exported, so that the same export is the same file."""
    return datetime.fromisoformat(track.take.info.head.created)


def reference(track: FinishedTrack) -> str:
    """An id of the take that no other has: 32 characters."""
    head = track.take.info.head
    unique = (
        f"{track.take.folder.name} {head.created} {head.model_hash} {head.prime_sha256} {head.request.seed}"
    )
    return f"SEGUE{hashlib.sha256(unique.encode()).hexdigest()[:27].upper()}"


def comment(track: FinishedTrack) -> str:
    """What made it, in a line."""
    request = track.take.info.head.request
    tempo = track.tempo
    told = [
        f"take {track.name}",
        style_of(request.style),
        "" if tempo is None else f"{bpm_of(track)[:-3]} bpm, {tempo.numerator}/{tempo.denominator}",
        f"{track.bars} bars" if track.bars else "",
        track.key or "",
        f"seed {request.seed}",
        f"model {request.model}",
        str(request.fidelity),
    ]
    return ", ".join(part for part in told if part)


def broadcast(track: FinishedTrack) -> bytes:
    """``bext``: the place on the song's time line, and the loudness."""
    loudness, wishes, made = track.loudness, track.wishes, created(track)
    bits = 32 if wishes.bits == "float32" else wishes.bits
    return riff.Broadcast(
        description=unidecode(comment(track))[:LONG],
        originator="Segue",
        originator_reference=reference(track),
        date=made.date().isoformat(),
        time=made.time().isoformat("seconds"),
        reference=track.time_reference,
        history=f"A=PCM,F={track.rate},W={bits},M=mono,T={software(track)}\r\n",
        loudness=loudness.integrated,
        range=loudness.range,
        true_peak=loudness.true_peak,
        momentary=loudness.momentary,
        short_term=loudness.short_term,
    ).chunk()


def acid(track: FinishedTrack) -> bytes:
    """Beats, tempo, root and meter; a track in free time, or of no whole number of quarter notes, is a one-shot."""
    tempo = track.tempo
    root = None if track.key is None else ACID_C + NOTES.index(track.key.split()[0])
    if tempo is None:
        return riff.acid(0, 0.0, 4, 4, root, one_shot=True)
    quarters = None if track.bars is None or track.begin else track.bars * tempo.bar_beats
    whole = quarters is not None and quarters.denominator == 1
    beats = int(quarters) if quarters is not None and whole else 0
    return riff.acid(beats, tempo.bpm, tempo.numerator, tempo.denominator, root, one_shot=not whole)


def ixml(track: FinishedTrack) -> bytes:
    """Project, scene, take, place, loudness. The standard has no field for a tempo: it is in the note."""
    head, wishes = track.take.info.head, track.wishes
    root = ElementTree.Element("BWFXML")

    def put(parent: ElementTree.Element, **texts: object) -> None:
        for name, text in texts.items():
            ElementTree.SubElement(parent, name).text = str(text)

    put(
        root,
        IXML_VERSION=IXML_VERSION,
        PROJECT="Segue",
        SCENE=style_of(head.request.style) or "Segue",
        TAKE=track.name,
        CIRCLED="TRUE" if track.marks.kept else "FALSE",
        FILE_UID=reference(track),
        NOTE=comment(track),
    )
    speed = ElementTree.SubElement(root, "SPEED")
    put(
        speed,
        FILE_SAMPLE_RATE=track.rate,
        AUDIO_BIT_DEPTH=32 if wishes.bits == "float32" else wishes.bits,
        DIGITIZER_SAMPLE_RATE=head.rate,
        TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_HI=track.time_reference >> 32,
        TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO=track.time_reference & 0xFFFFFFFF,
        TIMESTAMP_SAMPLE_RATE=track.rate,
    )
    figures = {
        "LOUDNESS_VALUE": track.loudness.integrated,
        "LOUDNESS_RANGE": track.loudness.range,
        "MAX_TRUE_PEAK_LEVEL": track.loudness.true_peak,
        "MAX_MOMENTARY_LOUDNESS": track.loudness.momentary,
        "MAX_SHORT_TERM_LOUDNESS": track.loudness.short_term,
    }
    known = {name: f"{figure:.2f}" for name, figure in figures.items() if figure is not None}
    put(ElementTree.SubElement(root, "LOUDNESS"), **known)
    tracks = ElementTree.SubElement(root, "TRACK_LIST")
    put(tracks, TRACK_COUNT=1)
    put(ElementTree.SubElement(tracks, "TRACK"), CHANNEL_INDEX=1, INTERLEAVE_INDEX=1, NAME=track.name)
    return riff.ixml(root)
