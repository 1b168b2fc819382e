"""An engine without a model, for those who write plugins and scripts: ``segue serve --mock``.

It speaks the whole protocol (engine/host/protocol.py) through the real engine process; only the model is replaced,
by a score that is worked out in numpy. No torch and no ONNX Runtime are loaded and it is ready within a second.
Its takes are whole takes on disk, can be gone on with, continued, upsampled and cancelled with what they have, and
the same request gives the same samples, as with a real model.

What is heard tells whether the wiring is right: notes fall on the sixteenths of the tempo, the bar's first note is
the lowest; the genre decides rhythm and register, the key the scale, the temperature how far the melody goes, the
seed the melody itself. A draft is a bare sine, a fine take has the octave in it, a full one the fifth above that.

Options (:class:`MockOptions`; ``--mock-with NAME=VALUE``) set its pace and keep a diary of what reached it. Failures
come on request:

- lyrics that begin with ``mock:`` are orders for the job, see :mod:`engine.host.mock.orders`:
  ``mock: fail disk_full at 0.5``, ``mock: die``, ``mock: hang at 0.3``, ``mock: die always``;
- primes by the beginning of their file's name: ``poison`` ends the process, ``slow`` is read for half a second
  longer, ``refused`` is no audio; a file that is not there or silent is refused as ever;
- models by name (``/segue/model``): ``mock-2`` has other styles, ``mock-slow`` takes three seconds, ``mock-huge``
  does not fit, ``mock-crash`` ends the process while it is loaded; others are not there.
"""

from engine.host.mock.options import DEFAULT_MODEL, MODELS, MockModels, MockOptions

__all__ = ["DEFAULT_MODEL", "MODELS", "TARGET", "MockModels", "MockOptions"]

TARGET = "engine.host.mock.process:main"  # the process's entry point
