"""The take record: one folder per take, written so that a kill at any moment loses no finished window.

``<takes root>/<YYYY-MM-DD>_<HHMMSS>_A<nn>/`` holds, in the order in which they appear:

``request.json``
    the :class:`TakeHead`: request, model and its hash, engine version. Written first, before any sampling.
``prime.wav``
    the exact audio that is continued: mono, 32-bit float, at the model's rate.
``journal``
    while the take grows: the prime's codes, every finished window and what stands beside it, each with a checksum
    and fsynced (:mod:`engine.take.journal`). A torn last record is ignored. Of a take that is called off to be kept,
    the beginnings of windows, too.
``audio.part``
    while the take grows: its audio so far, raw 32-bit float, mono.
``codes.safetensors``
    int64 arrays ``level_0`` .. ``level_2``: codes from the beginning of the prime; the metadata entry
    ``prime_tokens`` says how many of each belong to the prime.
``leads.safetensors``
    only where windows were sampled side by side: int64 arrays ``LEVEL.START``, the codes that stand beside those
    of the level from token START on; what is heard fades to them.
``continuation.wav``
    the continuation only, 24-bit, mono, at the model's rate.
``take.json``
    the :class:`TakeInfo`: state, plan, tokens, timings, metrics. Written last: a folder that has it is a
    take. ``journal`` and ``audio.part`` are removed after it, except for a partial take, which can still be
    resumed.

``marks.json``
    what somebody thinks of it (:mod:`engine.take.marks`): the only file that changes later.

Files get their final names only by renaming complete ones. :class:`TakeWriter` makes and resumes takes,
:func:`recover` makes a partial take of an interrupted one, :class:`Take` reads. When all is in place, one line in the
index of the takes root (:mod:`engine.shelf`) announces it.
"""

from engine.take.recovery import discard, recover
from engine.take.take import Take, TakeHead, TakeInfo, Timings
from engine.take.writer import TakeWriter

__all__ = ["Take", "TakeHead", "TakeInfo", "TakeWriter", "Timings", "discard", "recover"]
