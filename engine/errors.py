"""Every failure has a name: one small tree of exceptions shared by the command line, OSC and the log.

A :class:`SegueError` carries the numeric ``code`` and the machine-readable ``slug`` that
``/segue/fail address code slug message`` reports (facts/daw.md, table (a)) and one sentence that says what is
wrong and what would be right.
"""

from __future__ import annotations


class SegueError(Exception):
    """A failure that a user can reach. ``str(error)`` is the one sentence shown to them."""

    code: int = 500
    slug: str = "internal"

    def __init__(self, message: str, *, code: int | None = None, slug: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code
        if slug is not None:
            self.slug = slug


class BadArguments(SegueError):
    """Arguments of the wrong number or type."""

    code, slug = 400, "bad_args"


class UnknownAddress(SegueError):
    """An OSC address that nothing answers to."""

    code, slug = 404, "unknown_address"


class NoFile(SegueError):
    """A file that is not there or cannot be opened."""

    code, slug = 404, "no_file"


class BadFormat(SegueError):
    """A file that is there but does not hold usable audio, codes or weights."""

    code, slug = 415, "bad_format"


class UnsafeFile(SegueError):
    """A file that would have code run when it is opened; nothing of it was run."""

    code, slug = 403, "unsafe_file"


class PathNotAllowed(SegueError):
    """A path outside the folders that a remote client may use."""

    code, slug = 403, "path_not_allowed"


class OutOfRange(SegueError):
    """A value of the right type outside its limits; the message names them."""

    code, slug = 422, "out_of_range"


class TooShort(SegueError):
    """A prime with too little audio to continue."""

    code, slug = 422, "too_short"


class TooLarge(SegueError):
    """A file or packet beyond the limit; the message names it."""

    code, slug = 413, "too_large"


class NoStyle(SegueError):
    """A style, artist or genre that the model does not know; the message offers the nearest."""

    code, slug = 404, "no_style"


class NoModel(SegueError):
    """A model folder that is missing or broken."""

    code, slug = 404, "no_model"


class NoPrime(SegueError):
    """A continuation was asked for before a prime was given."""

    code, slug = 409, "no_prime"


class NoTake(SegueError):
    """A take that is not in the session."""

    code, slug = 404, "no_take"


class BadTarget(SegueError):
    """A form of export that there is not; the message offers the nearest."""

    code, slug = 400, "bad_target"


class NothingToUndo(SegueError):
    """There is no step to go back, or forward, to."""

    code, slug = 409, "nothing_to_undo"


class NoCodes(SegueError):
    """A take that holds no codes to make finer."""

    code, slug = 409, "no_codes"


class NoJob(SegueError):
    """A job that is not queued or running."""

    code, slug = 404, "no_job"


class Busy(SegueError):
    """Something else holds the port, the device or the folder."""

    code, slug = 409, "busy"


class QueueFull(SegueError):
    """More requests are waiting than the session keeps."""

    code, slug = 429, "queue_full"


class NotReady(SegueError):
    """The engine is starting, restarting or loading a model."""

    code, slug = 503, "not_ready"


class NoDevice(SegueError):
    """An audio device that is not there."""

    code, slug = 404, "no_device"


class DiskFull(SegueError):
    """A take could not be written for want of space."""

    code, slug = 507, "disk_full"


class NotFetched(SegueError):
    """A server that could not be reached, or broke off again and again; what has arrived is kept."""

    code, slug = 502, "not_fetched"


class NoMemory(SegueError):
    """A model that does not fit; the message says what it needs and what would fit."""

    code, slug = 507, "out_of_memory"


class Cancelled(SegueError):
    """The job was cancelled; not a failure of the engine."""

    code, slug = 499, "cancelled"


class TrainingError(SegueError):
    """A training run that cannot start or go on."""

    code, slug = 422, "training"
