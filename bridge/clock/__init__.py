"""Musical time: followed from outside or kept here, and where it falls in a stream of samples.

Two units, both exact: positions in the song are fractions of a beat (a beat is a quarter note), moments are whole
nanoseconds of the monotonic clock. Loops estimate in floats, relative to one origin; what they hand out is a
:class:`~bridge.clock.timeline.Timeline`, and all that is computed from one is computed in fractions.
"""

from bridge.clock.internal import InternalTransport
from bridge.clock.launch import Launch, capture_span, launch
from bridge.clock.midi import MidiClockFollower
from bridge.clock.osc import OscTransport
from bridge.clock.selector import Selector
from bridge.clock.stream import StreamClock
from bridge.clock.timeline import Meter, Timeline
from bridge.clock.timing import Timing, timing_of
from bridge.clock.transport import State, Transport

__all__ = [
    "InternalTransport",
    "Launch",
    "Meter",
    "MidiClockFollower",
    "OscTransport",
    "Selector",
    "State",
    "StreamClock",
    "Timeline",
    "Timing",
    "Transport",
    "capture_span",
    "launch",
    "timing_of",
]
