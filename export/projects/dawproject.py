"""DAWproject 1.0, which Bitwig, Studio One, Cubase and others read: a ZIP of two XML files and the WAVs.

Every prime and every take has a track of its own in its own colour; of alternatives all but one are muted. Takes
lie in the arrangement, not in the launcher, each clip directly around its warps and those around the audio: what is
wrapped more deeply, or lies in scenes only, is lost in some of these programs (facts/daw.md §4.1).
"""

from __future__ import annotations

import shutil
import time
import zipfile
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO
from xml.etree import ElementTree as ET

from engine.audio.durable import replacing
from export.projects.pieces import ROOM, Lane, Piece, lanes_of
from export.projects.sheet import Sheet, Signature, Sound, beats_of

AUDIO = "audio"
MASTER, TEMPO, SIGNATURE = "master-channel", "tempo", "signature"


def write_dawproject(sheet: Sheet, path: Path, version: str) -> None:
    """One file that holds everything, all or nothing; ``version``: that of Segue. Raises as ``replacing`` does."""
    with replacing(path, ROOM) as file:
        pack(sheet, file, version)


def pack(sheet: Sheet, file: BinaryIO, version: str) -> None:
    """The ZIP into an open file."""
    now = time.localtime()[:6]
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, root in (("project.xml", project(sheet, version)), ("metadata.xml", metadata(sheet))):
            entry = zipfile.ZipInfo(name, now)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, _text(root))
        for sound in sheet.sounds().values():
            with (
                open(sound.source, "rb") as source,
                archive.open(zipfile.ZipInfo(f"{AUDIO}/{sound.name}", now), "w", force_zip64=True) as target,
            ):
                shutil.copyfileobj(source, target, 1 << 20)


def _text(root: ET.Element) -> bytes:
    ET.indent(root)
    return ET.tostring(root, encoding="UTF-8", xml_declaration=True)


def metadata(sheet: Sheet) -> ET.Element:
    """``metadata.xml``."""
    root = ET.Element("MetaData")
    ET.SubElement(root, "Title").text = sheet.title
    ET.SubElement(root, "Comment").text = "Made with Segue; every take's recipe is the comment of its track."
    return root


def project(sheet: Sheet, version: str) -> ET.Element:
    """``project.xml``."""
    root = ET.Element("Project", version="1.0")
    ET.SubElement(root, "Application", name="Segue", version=version)
    transport = ET.SubElement(root, "Transport")
    bpm = _number(sheet.tempo[0].bpm)
    ET.SubElement(transport, "Tempo", id=TEMPO, name="Tempo", unit="bpm", min="20", max="666", value=bpm)
    ET.SubElement(transport, "TimeSignature", {"id": SIGNATURE, **_bars(sheet.tempo[0].signature)})
    structure = ET.SubElement(root, "Structure")
    arrangement = ET.SubElement(root, "Arrangement", id="arrangement")
    lanes = ET.SubElement(arrangement, "Lanes", id="lanes", timeUnit="beats")
    for number, lane in enumerate(lanes_of(sheet), 1):
        _track(structure, lane, number)
        _clips(lanes, sheet, lane, number)
    _master(structure)
    _markers(arrangement, sheet)
    _tempo(arrangement, sheet)
    ET.SubElement(root, "Scenes")
    return root


def _track(structure: ET.Element, lane: Lane, number: int) -> None:
    track = ET.SubElement(
        structure,
        "Track",
        id=f"track{number}",
        name=lane.name,
        color=lane.color,
        comment=lane.note,
        contentType="audio",
        loaded="true",
    )
    channel = ET.SubElement(
        track, "Channel", id=f"channel{number}", role="regular", audioChannels="2", destination=MASTER
    )
    ET.SubElement(channel, "Mute", id=f"mute{number}", name="Mute", value="true" if lane.muted else "false")
    _mixing(channel, str(number))


def _master(structure: ET.Element) -> None:
    track = ET.SubElement(
        structure, "Track", id="master", name="Master", contentType="audio notes", loaded="true"
    )
    channel = ET.SubElement(track, "Channel", id=MASTER, role="master", audioChannels="2")
    ET.SubElement(channel, "Mute", id="mute-master", name="Mute", value="false")
    _mixing(channel, "-master")


def _mixing(channel: ET.Element, ending: str) -> None:
    ET.SubElement(
        channel, "Pan", id=f"pan{ending}", name="Pan", unit="normalized", min="0", max="1", value="0.5"
    )
    ET.SubElement(
        channel, "Volume", id=f"volume{ending}", name="Volume", unit="linear", min="0", max="2", value="1"
    )


def _clips(lanes: ET.Element, sheet: Sheet, lane: Lane, number: int) -> None:
    own = ET.SubElement(lanes, "Lanes", id=f"lane{number}", track=f"track{number}")
    clips = ET.SubElement(own, "Clips", id=f"clips{number}")
    if lane.pieces[0].clip.bpm is None:
        clips.set("timeUnit", "seconds")
    for piece in lane.pieces:
        if piece.clip.bpm is None:
            _in_seconds(clips, sheet, piece)
        else:
            _in_beats(clips, piece, piece.clip.bpm)


def _in_beats(clips: ET.Element, piece: Piece, bpm: Fraction) -> None:
    """A warped clip: the sound's beats fall on those of the time line, whatever the tempo."""
    sound = piece.clip.sound
    clip = _clip(clips, piece, piece.start, piece.length, piece.into, "beats")
    warps = ET.SubElement(clip, "Warps", timeUnit="beats", contentTimeUnit="seconds")
    _audio(warps, sound, "stretch")
    beats = beats_of(sound.frames, sound.rate, bpm)
    for beat in (Fraction(0), beats):
        ET.SubElement(warps, "Warp", time=_number(beat), contentTime=_number(beat * 60 / bpm))


def _in_seconds(clips: ET.Element, sheet: Sheet, piece: Piece) -> None:
    start = sheet.seconds_at(piece.start)
    length = sheet.seconds_at(piece.end) - start
    into = Fraction(piece.frame, piece.clip.sound.rate)
    _audio(_clip(clips, piece, start, length, into, "seconds"), piece.clip.sound, "raw")


def _clip(
    clips: ET.Element, piece: Piece, start: Fraction, length: Fraction, into: Fraction, unit: str
) -> ET.Element:
    clip = ET.SubElement(
        clips,
        "Clip",
        name=piece.clip.name,
        color=piece.clip.color,
        time=_number(start),
        duration=_number(length),
        playStart=_number(into),
        contentTimeUnit=unit,
    )
    if not piece.on:
        clip.set("enable", "false")
    return clip


def _audio(parent: ET.Element, sound: Sound, algorithm: str) -> None:
    audio = ET.SubElement(
        parent,
        "Audio",
        algorithm=algorithm,
        channels=str(sound.channels),
        sampleRate=str(sound.rate),
        duration=_number(Fraction(sound.frames, sound.rate)),
    )
    ET.SubElement(audio, "File", path=f"{AUDIO}/{sound.name}")


def _markers(arrangement: ET.Element, sheet: Sheet) -> None:
    if not sheet.markers:
        return  # the schema wants one at least
    markers = ET.SubElement(arrangement, "Markers", id="markers", timeUnit="beats")
    for marker in sorted(sheet.markers, key=lambda marker: marker.at):
        ET.SubElement(markers, "Marker", time=_number(marker.at), name=marker.name, color=marker.color)


def _tempo(arrangement: ET.Element, sheet: Sheet) -> None:
    if len(sheet.tempo) == 1:
        return
    points = ET.SubElement(arrangement, "TempoAutomation", id="tempo-map", timeUnit="beats", unit="bpm")
    ET.SubElement(points, "Target", parameter=TEMPO)
    for change in sheet.tempo:
        at, bpm = _number(change.at), _number(change.bpm)
        ET.SubElement(points, "RealPoint", time=at, value=bpm, interpolation="hold")
    if len({change.signature for change in sheet.tempo}) == 1:
        return
    points = ET.SubElement(arrangement, "TimeSignatureAutomation", id="signature-map", timeUnit="beats")
    ET.SubElement(points, "Target", parameter=SIGNATURE)
    for change in sheet.tempo:
        ET.SubElement(points, "TimeSignaturePoint", {"time": _number(change.at), **_bars(change.signature)})


def _bars(signature: Signature) -> dict[str, str]:
    return {"numerator": str(signature.numerator), "denominator": str(signature.denominator)}


def _number(value: Fraction) -> str:
    """The nearest double, as XML Schema writes one."""
    return repr(float(value))
