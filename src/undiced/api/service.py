"""What a running server knows: the models that it serves, by name, its bounds, and whether it still takes requests.
Knows no HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from undiced.account.errors import PermissionDeniedError
from undiced.api.apart import check_apart
from undiced.api.body import Bodies
from undiced.api.caller import usable
from undiced.api.metrics import Metrics
from undiced.api.settings import Settings
from undiced.core.errors import ModelNotFoundError, ShuttingDownError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from undiced.account.keyring import Caller
    from undiced.api.answer import Answer
    from undiced.api.deployment import Deployment
    from undiced.api.meter import Meter

State = Literal["ready", "draining", "stopped"]
_NAME_SHOWN = 200  # characters of a name that is not ours


@dataclass(slots=True)
class Service:
    """Everything the endpoints share.

    Attributes:
        deployments: the models, at least one, in the order in which they are listed.
        bodies: reads requests, and knows how much memory they take.
        version: of this software.
        meter: counts what organizations use; None where nobody has to say who asks.
        running: tasks that still answer a request; drained on shutdown. answers: those that run, by their ids.

    Raises:
        InvalidRequestError: two of the models have a name in common.
    """

    deployments: Sequence[Deployment]
    settings: Settings = field(default_factory=Settings)
    metrics: Metrics = field(default_factory=Metrics)
    state: State = "ready"
    version: str = ""
    meter: Meter | None = None
    running: set[asyncio.Task[object]] = field(default_factory=set)
    answers: dict[str, Answer] = field(default_factory=dict)
    bodies: Bodies = field(init=False)
    _named: dict[str, Deployment] = field(init=False, default_factory=dict)
    _folded: dict[str, list[Deployment]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.bodies = Bodies(self.settings)
        check_apart([(each.card.id, *each.card.aliases) for each in self.deployments])
        for deployment in self.deployments:
            for name in {deployment.card.id, *deployment.card.aliases}:
                self._named[name] = deployment
                self._folded.setdefault(name.casefold(), []).append(deployment)

    def deployment(self, name: str, caller: Caller | None = None) -> Deployment:
        """A model by its name or an alias, in any case where that names one model; nothing names the only one.

        Raises:
            ModelNotFoundError: no model has that name; tells which the caller may use.
            PermissionDeniedError: the caller may not use it, whether it is served or not.
        """
        here = usable(self.deployments, caller)
        found = self._named.get(name) or self._likely(name, here)
        if found is not None and any(one is found for one in here):
            return found
        shown, served = name[:_NAME_SHOWN], " or ".join(f"'{each.card.id}'" for each in here)
        remedy = f"Use {served}." if served else "None of the models that the key may use is served now."
        if name and caller is not None and caller.models is not None and name not in caller.models:
            raise PermissionDeniedError(f"The key may not use the model '{shown}'.", remedy=remedy, param="model")
        message = f"The model '{shown}' is not served here." if name else "The request names no model."
        raise ModelNotFoundError(message, remedy=remedy, param="model")

    def _likely(self, name: str, here: Sequence[Deployment]) -> Deployment | None:
        alike = self._folded.get(name.strip().casefold(), ()) if name else here
        first = next(iter(alike), None)
        return first if all(one is first for one in alike) else None

    def admit(self, model: str, caller: Caller | None) -> Deployment:
        """The model of a request.

        Raises:
            ShuttingDownError: the server drains. ModelNotFoundError, PermissionDeniedError: as `deployment`.
        """
        if self.state != "ready":
            raise ShuttingDownError()
        return self.deployment(model, caller)

    @contextlib.contextmanager
    def preparing(self) -> Iterator[None]:
        """While it lasts, the current task counts as running: a drain waits for it, and ends it with an error.

        Raises:
            ShuttingDownError: the server could not wait any longer.
        """
        task = asyncio.current_task()
        assert task is not None
        self.running.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if self.state != "stopped":
                raise
            task.uncancel()
            raise ShuttingDownError() from None
        finally:
            self.running.discard(task)
