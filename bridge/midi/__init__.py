"""MIDI: controllers play the session, and show what it does.

A session plugs in with one object and one method (facts/daw.md, map (b))::

    midi = Midi(target, clock=on_clock, notice=on_notice)   # target.act(action, value)
    midi.start()                                            # in the running loop; returns at once
    ...
    await midi.close()

``act`` gets a name of the table in :mod:`bridge.midi.actions` and a value of its kind: True for a button, the slot
for ``preset`` and ``take``, a number or text for parameters, steps for the two browsers, a :class:`Program` for
Bank Select and Program Change, True and False for ``hold``.

The session tells back what is true: ``midi.light("take.3", Light.READY)`` for buttons, ``midi.value("temperature",
0.9)`` for parameters, whoever set them (take-over needs it). ``midi.learn(key, done)``, ``midi.forget(key)`` and
``midi.panic()`` are for its verbs.

:mod:`actions` is the table; :mod:`settings`, :mod:`profile` and :mod:`layout` say which control reaches what;
:mod:`ports`, :mod:`watch`, :mod:`inbox` and :mod:`wire` bring messages in; :mod:`router` and :mod:`learn` make actions
and bindings of them; :mod:`lights` sends; :mod:`service` joins them.
"""

from bridge.midi.actions import ACTIONS, Program, Value
from bridge.midi.profile import Light
from bridge.midi.service import ClockMessage, Midi, MidiTarget

__all__ = ["ACTIONS", "ClockMessage", "Light", "Midi", "MidiTarget", "Program", "Value"]
