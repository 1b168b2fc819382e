"""Sound devices and MIDI ports."""

from __future__ import annotations

from bridge.cli.checks.finding import AskFailed, Finding, Level, ask

SOUND_SECONDS, MIDI_SECONDS = 20, 15

# Finds the device as the audio process would, opens it and counts blocks for a third of a second.
_OPEN = """
import json, sys, time
from bridge.audio.devices import find_device, portaudio, scan
from engine.errors import NoDevice
kind, wanted = sys.argv[1], sys.argv[2] or None
answer = {"devices": [], "chosen": "", "error": "", "blocks": 0, "latency_ms": 0.0, "rate": 0}
try:
    devices = scan(kind)
    answer["devices"] = [f"{d.label}, {d.rate} Hz" for d in devices]
    if devices or wanted:
        device = find_device(wanted, devices, kind)
        answer["chosen"], answer["rate"] = device.label, device.rate
        sound = portaudio()
        def count(*_):
            answer["blocks"] += 1
        opened = sound.RawOutputStream if kind == "output" else sound.RawInputStream
        try:
            stream = opened(device=device.index, channels=min(2, device.channels), samplerate=device.rate,
                            dtype="float32", callback=count)
            with stream:
                time.sleep(0.35)
                answer["latency_ms"] = 1000 * stream.latency
        except sound.PortAudioError as error:
            answer["error"] = str(error)
except NoDevice as error:
    answer["error"] = error.message
print("\\n" + json.dumps(answer), flush=True)
import os
os._exit(0)
"""
_MIDI = """
import json
from bridge.midi.ports import RtMidi
from engine.errors import SegueError
try:
    system = RtMidi()
    answer = {"system": system.name, "inputs": system.inputs(), "outputs": system.outputs(), "error": ""}
except SegueError as error:
    answer = {"error": error.message}
print("\\n" + json.dumps(answer), flush=True)
import os
os._exit(0)
"""


def check_sound(wanted: str = "") -> Finding:
    """PortAudio, its output devices, and whether the one that would be taken opens. Without one Segue plays into a
    file."""
    name = "sound"
    if wanted == "none" or wanted.startswith("file:"):
        return Finding(name, Level.OK, f"{wanted}, as asked")
    into_file = "or play into a file: segue serve --device file:out.wav"
    try:
        answer = ask(_OPEN, SOUND_SECONDS, "output", wanted)
    except AskFailed as failure:
        step = f"restart the sound server, {into_file}"
        return Finding(name, Level.RED, f"PortAudio does not answer: {failure}", step)
    if not answer["chosen"]:
        if wanted:
            return Finding(name, Level.RED, answer["error"], f"name one that is there, {into_file}")
        if answer["error"]:
            step = "until it is (Debian, Ubuntu: apt-get install libportaudio2) Segue plays into a WAV"
            return Finding(name, Level.NOTE, "PortAudio is not installed", step)
        step = "connect a sound device or start a sound server; until then Segue plays into a WAV"
        return Finding(name, Level.NOTE, "no output device", step)
    if answer["error"] or not answer["blocks"]:
        why = answer["error"] or "it asks for no sound"
        step = f"close what uses it, choose another (segue serve --device NAME), {into_file}"
        return Finding(name, Level.RED, f"'{answer['chosen']}' cannot be opened: {why}", step)
    devices = answer["devices"]
    more = f" and {len(devices) - 3} more" if len(devices) > 3 else ""
    opens = f"'{answer['chosen']}' opens at {answer['rate']} Hz, {answer['latency_ms']:.0f} ms"
    return Finding(name, Level.OK, f"{opens}; {len(devices)} there: {'; '.join(devices[:3])}{more}")


def check_input(wanted: str = "") -> Finding:
    """Whether live input can be recorded. Everything else works without."""
    name = "input"
    without = "files and takes can be continued without; ReaStream needs no device either"
    try:
        answer = ask(_OPEN, SOUND_SECONDS, "input", wanted)
    except AskFailed as failure:
        return Finding(name, Level.NOTE, f"PortAudio does not answer: {failure}", without)
    if not answer["chosen"]:
        if wanted:
            return Finding(name, Level.RED, answer["error"], "name one that is there, or leave --input out")
        return Finding(
            name, Level.NOTE, "no input device", f"to capture what you play, connect one; {without}"
        )
    if answer["error"] or not answer["blocks"]:
        why = answer["error"] or "it gives no sound"
        level = Level.RED if wanted else Level.NOTE
        step = f"close what uses it, and allow this program to record (privacy settings); {without}"
        return Finding(name, level, f"'{answer['chosen']}' cannot be opened: {why}", step)
    return Finding(name, Level.OK, f"'{answer['chosen']}' opens at {answer['rate']} Hz")


def check_midi() -> Finding:
    """MIDI ports, as a session sees them. Segue plays without them."""
    step = "OSC works without; for MIDI load the system's driver (Linux: modprobe snd-seq) or start JACK"
    try:
        answer = ask(_MIDI, MIDI_SECONDS)
    except AskFailed as failure:
        return Finding("midi", Level.NOTE, str(failure), step)
    if answer["error"]:
        return Finding("midi", Level.NOTE, answer["error"], step)
    ports = sorted({*answer["inputs"], *answer["outputs"]})
    if not ports:
        return Finding(
            "midi", Level.NOTE, f"{answer['system']}, but no port of another program", "connect a controller"
        )
    named = ", ".join(ports[:3]) + (f" and {len(ports) - 3} more" if len(ports) > 3 else "")
    counts = f"{len(answer['inputs'])} inputs, {len(answer['outputs'])} outputs"
    return Finding("midi", Level.OK, f"{answer['system']}: {counts}: {named}")
