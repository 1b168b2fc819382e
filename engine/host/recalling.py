"""A take made anew from its recipe, and held against what is on disk: a take is a pure function of its request.

The recipe is the take's own folder: its head (request, model, digests) and the prime as it was heard. Takes that it
goes on from are looked for where they were, beside it, and in the trash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import BadFormat, NoFile, NoModel, NoTake
from engine.host.known import KnownPrime
from engine.host.telling import JobEvent, tell_nobody
from engine.request import Mode, PrimeRef, Request
from engine.shelf.files import PRIME, TAKE, TRASH
from engine.store import model_folder, read_config
from engine.store.files import hash_of, weight_digests
from engine.store.home import known_models, named_precision
from engine.take import Take, TakeHead

if TYPE_CHECKING:
    from engine.backends.protocol import Backend

_SHOWN = 12  # digits of a hash in a sentence


@dataclass(frozen=True)
class Recalled:
    """A take that was made anew, beside the one on disk.

    ``frames`` of audio were compared, ``differing`` of them are not the same 24-bit sample, the first one at
    ``first_frame``; 0 frames where the file is missing. ``tokens``: codes that were compared by level, of which
    ``other_tokens`` differ. ``notes``: what is not as it was.
    """

    take: Take
    frames: int
    differing: int
    first_frame: int | None
    tokens: dict[int, int]
    other_tokens: dict[int, int]
    notes: tuple[str, ...] = ()

    @property
    def identical(self) -> bool:
        """Whether all that could be compared is the same."""
        return not self.differing and not any(self.other_tokens.values())


def model_for(head: TakeHead, asked: str | None = None) -> str:
    """The name or folder of the model that made a take, or of one of other name with the same weights.

    ``asked``: where the user says it is. Raises :class:`NoModel`, which says what is missing or has changed.
    """
    name = asked or head.request.model
    suffix = named_precision(head.request.model)[1]
    try:
        folder = model_folder(name)
        digests = weight_digests(folder, len(read_config(folder).priors))
    except NoModel as error:
        digests = {}
        if asked is not None:
            raise error from None
    if digests and hash_of(digests) == head.model_hash:
        return name
    for other, folder in known_models().items():
        if asked is None and _hash(folder) == head.model_hash:
            return f"{other}@{suffix}" if suffix else other
    wanted = f"the model '{head.request.model}' with the hash {head.model_hash[:_SHOWN]}"
    if not digests:
        raise NoModel(
            f"the take {head.name} was made by {wanted}, which is not here; import it again, or say where it is "
            "with --model"
        )
    changed = [
        file for file, digest in head.model_files.items() if file in digests and digests[file] != digest
    ]
    what = f" ({', '.join(changed)} differ)" if changed else ""
    raise NoModel(
        f"the take {head.name} was made by {wanted}; '{name}' has the hash {hash_of(digests)[:_SHOWN]}{what}; put "
        "the files back that it was made with, or say where they are with --model"
    )


def _hash(folder: Path) -> str:
    try:
        return hash_of(weight_digests(folder, len(read_config(folder).priors)))
    except (NoModel, OSError):
        return ""


def again(take: Take) -> Request:
    """The take's request, with the takes that it goes on from where they are now, and its own prime.

    Raises :class:`NoTake` for one that is not to be found, :class:`NoFile` where the prime's file is missing.
    """
    request = take.info.head.request
    if request.mode is Mode.PRIMED:
        if not (take.folder / PRIME).is_file():
            raise NoFile(
                f"'{take.folder / PRIME}' is missing, and without what was heard before it the take cannot be made "
                "again; put the file back"
            )
        return request.model_copy(update={"prime": PrimeRef(path=str(take.folder / PRIME))})
    parents = tuple(
        ref.model_copy(update={"folder": str(found_again(take, ref.folder))}) for ref in request.parents
    )
    return request.model_copy(update={"parents": parents})


def found_again(child: Take, folder: str) -> Path:
    """Where a take lies now that ``child`` goes on from. Raises :class:`NoTake`."""
    name = Path(folder).name
    roots = (child.folder.parent, child.folder.parent.parent)  # the child itself may be in the trash
    for place in (Path(folder), *(root / name for root in roots), *(root / TRASH / name for root in roots)):
        if (place / TAKE).is_file():
            return place
    raise NoTake(
        f"the take {child.info.head.name} goes on from the take '{folder}', which is neither there nor beside it "
        "nor in the trash; bring it back to make this one again"
    )


def recall(
    backend: Backend,
    take: Take,
    folder: Path,
    *,
    chunk_frames: int = 4096,
    lanes: int | None = None,
    on_event: Callable[[JobEvent], None] = tell_nobody,
) -> Recalled:
    """Makes ``take`` anew under the takes root ``folder`` and compares.

    A take that was cut short is made to its end; what there was of it is compared. Raises :class:`BadFormat` for a
    prime that was changed, and what making a take raises.
    """
    from engine.host.jobs import run_request

    head, request = take.info.head, again(take)
    known = None
    if request.mode is Mode.PRIMED:
        heard = take.prime()
        if hashlib.sha256(heard.mono_samples().tobytes()).hexdigest() != head.prime_sha256:
            raise BadFormat(
                f"{PRIME} in '{take.folder}' was changed; put the original back to recall the take"
            )
        known = KnownPrime(heard, left_out=head.left_out)
    (made,) = run_request(
        backend,
        request,
        folder=folder,
        chunk_frames=chunk_frames,
        lanes=lanes,
        on_event=on_event,
        prime=known,
    )
    return compare(take, made, _notes(backend, head))


def _notes(backend: Backend, head: TakeHead) -> tuple[str, ...]:
    notes = []
    if head.runtime not in ("", backend.runtime):
        notes.append(
            f"it was computed by '{head.runtime}' and now by '{backend.runtime}', which rounds otherwise: tokens may "
            "differ now and then"
        )
    changed = [name for name, digest in head.model_files.items() if backend.files.get(name, digest) != digest]
    if changed:
        notes.append(f"{', '.join(changed)} of the model changed since")
    return tuple(notes)


def compare(take: Take, made: Take, notes: tuple[str, ...] = ()) -> Recalled:
    """Holds two takes of the same request against each other, sample by sample and code by code."""
    tokens, others = {}, {}
    try:
        before = take.codes()
    except (NoFile, BadFormat) as error:
        before, notes = {}, (*notes, f"codes could not be compared: {error.message}")
    after = made.codes()
    for level in sorted(before.keys() & after.keys()):
        count = min(before[level].size, after[level].size)
        tokens[level] = count
        others[level] = int(np.count_nonzero(before[level][:count] != after[level][:count]))
    try:
        was = take.audio().mono_samples()
    except (NoFile, BadFormat) as error:
        was, notes = np.zeros(0, np.float32), (*notes, f"sound could not be compared: {error.message}")
    now = made.audio().mono_samples()
    if take.info.state != "complete":
        notes = (*notes, f"it was cut short at {take.info.seconds:.2f} s of {made.info.seconds:.2f} s")
    elif 0 < was.size != now.size:
        notes = (*notes, f"its file holds {was.size} frames instead of {now.size}")
    frames = min(was.size, now.size)
    unlike = np.flatnonzero(was[:frames] != now[:frames])
    first = int(unlike[0]) if unlike.size else None
    return Recalled(made, frames, int(unlike.size), first, tokens, others, notes)
