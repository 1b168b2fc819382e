"""What clients hear of the sound devices: which one plays, how late it is, and how loud it gets."""

from __future__ import annotations

from bridge.audio.reports import Meters, Opened, Stats
from bridge.osc.subscribers import Subscribers
from bridge.session.notices import Notices
from bridge.session.properties import Properties
from bridge.session.sound import Sound

METERS = ("/segue/meter/in", "/segue/meter/out")


class SoundCard:
    """Tells what the audio process reports. Meters are measured only while somebody listens to them."""

    def __init__(
        self, sound: Sound, notices: Notices, properties: Properties, subscribers: Subscribers
    ) -> None:
        self._sound, self._notices, self._properties = sound, notices, properties
        self._subscribers = subscribers
        self._xruns = (0, 0)
        self._metering = False
        properties.add("/segue/audio/device", lambda: (sound.device, sound.first_channel))
        properties.add("/segue/audio/rate", lambda: (sound.rate if sound.device else 0,))
        properties.add("/segue/audio/latency", lambda: (float(sound.latency_ms),))
        properties.add("/segue/audio/xruns", lambda: self._xruns)

    def opened(self, report: Opened) -> None:
        """An output runs."""
        self._notices.publish("/segue/audio/open", report.label, report.rate, float(report.latency_ms))
        for name in ("device", "rate", "latency"):
            self._properties.publish(f"/segue/audio/{name}")

    def lost(self, reason: str) -> None:
        """The output has gone."""
        self._notices.publish("/segue/audio/lost", reason)

    def stats(self, report: Stats) -> None:
        """Figures of the audio process."""
        if (report.underruns, report.late) != self._xruns:
            self._xruns = (report.underruns, report.late)
            self._properties.publish("/segue/audio/xruns")

    def meters(self, report: Meters) -> None:
        """Peaks of the last tenth of a second."""
        for address, left, right in (
            (METERS[0], report.in_left, report.in_right),
            (METERS[1], report.out_left, report.out_right),
        ):
            self._notices.publish(address, float(left), float(right))

    def listeners_changed(self) -> None:
        """Somebody began or ended to hear something: are the meters wanted?"""
        wanted = any(self._subscribers.heard(address) for address in METERS)
        if wanted != self._metering:
            self._metering = wanted
            self._sound.meter(wanted)
