"""Which model makes the music, and loading another one while the session runs.

Jobs wait meanwhile: the one that is being made is finished first, those after it are made by the new model. The old
model stays when the new one cannot be loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from bridge.osc.endpoint import Peer
from bridge.session.notices import Notices
from bridge.session.properties import Properties
from bridge.supervision.engine_client import EngineClient
from engine.errors import Busy, NoModel, NotReady, SegueError
from engine.host.protocol import Failed, Loading, Ready
from engine.store.home import known_models, model_folder

ADDRESS = "/segue/model"
PROGRESS = "/segue/model/progress"


class Catalogue(Protocol):
    """The models that there are. Both may block: they look at folders."""

    def names(self) -> Sequence[str]:
        """What can be loaded by name."""

    def require(self, name: str) -> None:
        """Raise :class:`NoModel` for a name or folder that is no model."""


class StoredModels:
    """Shipped and imported models (engine/store)."""

    def names(self) -> Sequence[str]:
        """See :class:`Catalogue`."""
        return list(known_models())

    def require(self, name: str) -> None:
        """See :class:`Catalogue`."""
        model_folder(name)


@dataclass
class Change:
    """A change of model that was asked for; ``begun``: the engine is loading it."""

    name: str
    requester: Peer
    request_tag: str
    begun: bool = False


class ModelDesk:
    """Changes the engine's model. ``job_runs``: whether a job is being made; ``on_change``: called when a change
    begins or ends."""

    def __init__(
        self,
        engine: EngineClient,
        notices: Notices,
        properties: Properties,
        catalogue: Catalogue,
        job_runs: Callable[[], bool],
        on_change: Callable[[], None],
    ) -> None:
        self.catalogue = catalogue
        self.change: Change | None = None
        self._engine, self._notices, self._properties = engine, notices, properties
        self._job_runs, self._on_change = job_runs, on_change
        properties.add(ADDRESS, lambda: (self.name,))

    @property
    def name(self) -> str:
        """The model that is loaded, or is being loaded for the first time."""
        return self._engine.ready.model if self._engine.ready is not None else self._engine.model

    def state(self, name: str) -> str:
        """``loaded``, ``loading``, or ``here`` for one that could be."""
        if self.change is not None and name == self.change.name:
            return "loading"
        if name != self.name:
            return "here"
        return "loaded" if self._engine.ready is not None else "loading"

    def require_free(self) -> None:
        """Raise :class:`Busy` while a model is being changed, :class:`NotReady` while there is no engine."""
        if self.change is not None:
            raise Busy(f"the model '{self.change.name}' is being loaded; wait until it is, then ask again")
        self._engine.require_ready()

    def begin(self, name: str, requester: Peer, request_tag: str) -> None:
        """Load a model as soon as no job is being made. Raises as :meth:`require_free` does."""
        self.require_free()
        if name == self.name:
            self._notices.done(requester, request_tag, ADDRESS, name)
            return
        self.change = Change(name, requester, request_tag)
        if self._job_runs():
            self._tell(0.0, "waiting for the job that is being made")
        self.advance()
        self._on_change()

    def advance(self) -> None:
        """Begin to load what waits, if nothing is being made."""
        change = self.change
        if change is None or change.begun or self._job_runs():
            return
        change.begun = True
        try:
            self._engine.load(change.name)
        except NotReady as error:
            self._end(error)
            return
        self._tell(0.0, f"loading {change.name}")

    def loading(self, report: Loading) -> None:
        """How far the engine has come with it."""
        if self.change is not None and report.model == self.change.name:
            self._tell(report.progress, report.text)

    def loaded(self, report: Ready) -> bool:
        """The engine has a model; False if it is not the one that was asked for here."""
        if self.change is None or report.model != self.change.name:
            return False
        self._end(None)
        return True

    def failed(self, report: Failed) -> bool:
        """The engine could not load a model; False if the report is about something else."""
        if self.change is None or report.tag != self.change.name:
            return False
        self._end(SegueError(report.message, code=report.code, slug=report.slug))
        return True

    def engine_died(self) -> None:
        """What was being loaded is lost with the engine; the old model is loaded again."""
        if self.change is not None:
            name = self.change.name
            self._end(NoModel(f"the engine died while it loaded '{name}'; '{self.name}' is loaded again"))

    def _end(self, error: SegueError | None) -> None:
        change, self.change = self.change, None
        assert change is not None
        if error is None:
            self._tell(1.0, f"{change.name} is loaded", also=change.requester)
            self._properties.publish(ADDRESS, also=change.requester)
            self._notices.done(change.requester, change.request_tag, ADDRESS, change.name)
        else:
            self._notices.fail(change.requester, change.request_tag, ADDRESS, error)
        self._on_change()

    def _tell(self, progress: float, text: str, also: Peer | None = None) -> None:
        peer = also or (self.change.requester if self.change is not None else None)
        self._notices.publish(PROGRESS, float(progress), text, also=peer)
