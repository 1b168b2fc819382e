"""Messages between bridge and engine: one JSON object each over a ``multiprocessing`` pipe (never pickled).

The bridge sends commands, the engine answers with reports. Every :class:`Generate` ends in exactly one of
:class:`TakeDone` (one per take, the last with ``last=True``), :class:`JobFailed` or :class:`JobCancelled`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from engine.request import MAX_BPM, MIN_BPM, Frozen, PrimeRef, Request


class LoadModel(Frozen):
    """Load a model by name or folder; answered by :class:`Ready` or :class:`Failed`."""

    kind: Literal["load_model"] = "load_model"
    name: str


class TakePrime(Frozen):
    """Read, check and encode a prime; answered by :class:`PrimeReady` or :class:`Failed` with the same
    ``tag``. ``bpm``: the tempo, where it is known without listening.
    """

    kind: Literal["take_prime"] = "take_prime"
    tag: str
    prime: PrimeRef
    bpm: Annotated[float, Field(ge=MIN_BPM, le=MAX_BPM)] | None = None


class Foresee(Frozen):
    """A prime like this will probably be taken: ``prime`` is a file of what was recorded of it until now, ``frames``
    its length at the model's rate when it is whole. What can be encoded of it is; not answered.
    """

    kind: Literal["foresee"] = "foresee"
    prime: PrimeRef
    frames: Annotated[int, Field(ge=1)]


class Generate(Frozen):
    """Make ``takes`` takes of one request (seeds ``request.seed``, ``+1``, ...).

    ``ring``: name of the shared-memory ring that gets the PCM of the first take, or None. ``ring_from``:
    frames of the continuation that the ring has already been given (after a restart). ``previews``: whether coarser
    audio is put there until the asked-for is made. ``folder``: where
    takes are filed. ``resume``: folders of takes of this request that were begun before; an unfinished one
    is gone on with, a complete one is announced again, takes before the first of them count as made.
    """

    kind: Literal["generate"] = "generate"
    job: str
    request: Request
    takes: Annotated[int, Field(ge=1, le=64)] = 1
    folder: str
    ring: str | None = None
    ring_from: Annotated[int, Field(ge=0)] = 0
    previews: bool = True
    resume: list[str] = []
    chunk_frames: Annotated[int, Field(ge=64, le=1 << 20)] = 4096


class Prepare(Frozen):
    """A job like this will probably be asked for: what can be done ahead of it is, when nothing else is to be done."""

    kind: Literal["prepare"] = "prepare"
    request: Request
    takes: Annotated[int, Field(ge=1, le=64)] = 1


class Cancel(Frozen):
    """Stop a job at the next token chunk; answered by :class:`JobCancelled` or :class:`Failed`."""

    kind: Literal["cancel"] = "cancel"
    job: str
    keep: bool = False


class Quit(Frozen):
    """Finish at once; the process exits with status 0."""

    kind: Literal["quit"] = "quit"


class Ready(Frozen):
    """A model is loaded. ``genre_words``: its genres are words, to be joined at will; ``lyrics``: the characters that
    it reads, None if it reads none."""

    kind: Literal["ready"] = "ready"
    model: str
    rate: int
    artists: list[str]
    genres: list[str]
    genre_words: bool = False
    lyrics: Literal["v2", "v3"] | None = None
    seconds: float


class Loading(Frozen):
    """How far loading a model has come: ``progress`` in [0, 1], ``text`` for people."""

    kind: Literal["loading"] = "loading"
    model: str
    progress: Annotated[float, Field(ge=0.0, le=1.0)]
    text: str


class PrimeReady(Frozen):
    """A prime is read and encoded. ``seconds``: length used; ``rate``: the file's own; ``bpm``: estimate or
    None.
    """

    kind: Literal["prime_ready"] = "prime_ready"
    tag: str
    prime: PrimeRef
    seconds: float
    rate: int
    bpm: float | None


class JobState(Frozen):
    """Progress of a job: ``progress`` in [0, 1], ``eta_seconds`` estimated. ``take_folder`` is where the
    take grows.
    """

    kind: Literal["job_state"] = "job_state"
    job: str
    state: Literal["running", "window"]
    progress: float
    eta_seconds: float
    take_folder: str
    take_index: int = 0
    audio_frames: int = 0
    total_frames: int = 0


class TakeDone(Frozen):
    """A take is complete on disk, fsynced and under its final name (``folder``; audio at ``wav``).

    ``first_audio_ms``: from the beginning of the work to audio of whatever fidelity, ``first_final_ms`` of the one
    that was asked for; ``heard_seconds``: what the ring gets of each level, of a take that is heard.
    """

    kind: Literal["take_done"] = "take_done"
    job: str
    folder: str
    wav: str
    seed: int
    seconds: float
    first_audio_ms: float
    first_final_ms: float | None = None
    heard_seconds: dict[int, float] = {}
    real_time_factor: float
    last: bool


class JobFailed(Frozen):
    """A job ended in an error; the take's finished windows stay in its folder."""

    kind: Literal["job_failed"] = "job_failed"
    job: str
    code: int
    slug: str
    message: str


class KeptTake(Frozen):
    """What is left of a take that was cut short, on disk as a partial take: number ``index`` of its job, from 0.

    ``seconds``: audio in its file ``wav``; ``held``: frames that it can be continued from, at the model's rate.
    """

    index: Annotated[int, Field(ge=0)]
    folder: str
    wav: str
    seed: int
    seconds: float
    held: Annotated[int, Field(ge=0)]


class JobCancelled(Frozen):
    """A job ended because it was cancelled; ``kept``: what there is of unfinished takes, if it was to be kept."""

    kind: Literal["job_cancelled"] = "job_cancelled"
    job: str
    kept: list[KeptTake] = []


class Failed(Frozen):
    """A command other than :class:`Generate` failed. ``tag``: that of the command, or the model's name."""

    kind: Literal["failed"] = "failed"
    tag: str
    code: int
    slug: str
    message: str


class Heartbeat(Frozen):
    """Sent every 0.5 s by a thread of its own; ``busy`` is the running job or None."""

    kind: Literal["heartbeat"] = "heartbeat"
    busy: str | None = None


Command = Annotated[
    LoadModel | TakePrime | Foresee | Prepare | Generate | Cancel | Quit, Field(discriminator="kind")
]
Report = Annotated[
    Ready | Loading | PrimeReady | JobState | TakeDone | JobFailed | JobCancelled | Failed | Heartbeat,
    Field(discriminator="kind"),
]

COMMANDS: TypeAdapter[Command] = TypeAdapter(Command)
REPORTS: TypeAdapter[Report] = TypeAdapter(Report)


def encode(message: Frozen) -> bytes:
    """One message as UTF-8 JSON."""
    return message.model_dump_json().encode()
