"""Clips of Live: the span of a file that one plays, and where takes go."""

from __future__ import annotations

from typing import Any, NamedTuple

OLD_LIVE = (
    "Live 12.0.5 or newer is wanted to put takes into clip slots; drag the file from Live's browser: %s"
)


class Refusal(Exception):
    """Something that cannot be done; one sentence."""


class Span(NamedTuple):
    """Of a file, in seconds; ``bpm`` is the file's own tempo there, 0 where it is not known."""

    path: str
    start: float
    length: float
    bpm: float


def selected_span(clip: Any, tempo: float) -> Span:
    """What a clip plays, once. Raises :class:`Refusal`."""
    if clip is None:
        raise Refusal("select an audio clip to extend")
    if not clip.is_audio_clip:
        raise Refusal("the selected clip is MIDI; freeze and flatten its track first")
    first, last = (clip.loop_start, clip.loop_end) if clip.looping else (clip.start_marker, clip.end_marker)
    if not clip.warping:
        return Span(clip.file_path, max(0.0, first), last - max(0.0, first), tempo)
    markers = getattr(clip, "warp_markers", None)
    if not markers or len(markers) < 2:
        raise Refusal(
            "this Live does not tell where a warped clip lies in its file; switch Warp off, or consolidate it"
        )
    points = sorted((float(marker.beat_time), float(marker.sample_time)) for marker in markers)
    start, end = max(0.0, _seconds_at(points, first)), _seconds_at(points, last)
    if end <= start:
        raise Refusal("the selected clip lies outside its file; consolidate it first")
    return Span(clip.file_path, start, end - start, 60.0 * (last - first) / (end - start))


def _seconds_at(points: list[tuple[float, float]], beat: float) -> float:
    """Where in the file a beat lies: between warp markers in a line, beyond them at the pace of the nearest two."""
    after = next((index for index in range(1, len(points)) if points[index][0] >= beat), len(points) - 1)
    (beat_0, at_0), (beat_1, at_1) = points[after - 1], points[after]
    return at_0 + (beat - beat_0) * (at_1 - at_0) / (beat_1 - beat_0)


def mark_of(clip: Any, song: Any) -> str:
    """Where a clip lies: its track and slot (from 0), or its end in the arrangement in beats."""
    parent = clip.canonical_parent
    tracks = list(song.tracks)
    warp = int(clip.warping)
    if getattr(clip, "is_arrangement_clip", False):
        return f"track={tracks.index(parent)};beat={clip.end_time!r};warp={warp}"
    track = parent.canonical_parent
    return f"track={tracks.index(track)};slot={list(track.clip_slots).index(parent)};warp={warp}"


def read_mark(text: str) -> dict[str, float]:
    """The numbers of a mark."""
    pairs = (part.split("=", 1) for part in text.split(";") if "=" in part)
    return {name: float(value) for name, value in pairs}


def insert(song: Any, path: str, name: str, track_number: int, slot_number: int, mark: str) -> Any:
    """Put a file into Live as a clip. ``track_number`` and ``slot_number`` from 1, 0: where the mark says, else the
    first empty slot of the selected track. Raises :class:`Refusal`.
    """
    where = read_mark(mark)
    track = _track(song, track_number, where)
    if not track_number and "beat" in where and hasattr(track, "create_audio_clip"):
        clip = track.create_audio_clip(path, where["beat"])
    else:
        clip = _insert_in_slot(
            song, track, path, slot_number, 0 if track_number else int(where.get("slot", -1)) + 1
        )
    if clip is not None:
        clip.name = f"Segue {name}"
        if where.get("warp", 1.0) == 0.0:
            clip.warping = False
    return clip


def _track(song: Any, number: int, where: dict[str, float]) -> Any:
    tracks = list(song.tracks)
    if number > len(tracks):
        raise Refusal(f"there is no track {number}; there are {len(tracks)}")
    if number:
        track = tracks[number - 1]
        if not track.has_audio_input or track.is_foldable:
            raise Refusal(f"track {number} is no audio track")
    elif int(where.get("track", len(tracks))) < len(tracks):
        track = tracks[int(where["track"])]
    else:
        track = song.view.selected_track
        if track not in tracks:
            track = None
    if track is None or not track.has_audio_input or track.is_foldable:
        track = song.create_audio_track(-1)
    if track.is_frozen:
        raise Refusal("the track is frozen; unfreeze it first")
    return track


def _insert_in_slot(song: Any, track: Any, path: str, number: int, first: int) -> Any:
    slots = list(track.clip_slots)
    if number > len(slots):
        raise Refusal(f"there is no slot {number}; there are {len(slots)}")
    if number:
        slot = slots[number - 1]
        if slot.has_clip:
            raise Refusal(f"slot {number} holds a clip; name an empty one")
    else:
        slot = next((slot for slot in slots[first:] if not slot.has_clip), None)
    if slot is None:
        song.create_scene(-1)
        slot = list(track.clip_slots)[-1]
    if not hasattr(slot, "create_audio_clip"):
        raise Refusal(OLD_LIVE % path)
    slot.create_audio_clip(path)
    return slot.clip
