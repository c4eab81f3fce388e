"""The life of a server in its event loop: engines up, requests taken, a drain or a loss at the end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from undiced import __version__
from undiced.cli.serving.loading import loaded
from undiced.cli.serving.served import deployment
from undiced.core.errors import UndicedError
from undiced.core.exits import Exit

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Coroutine, Sequence
    from ssl import SSLContext

    from undiced.account.accounts import Accounts
    from undiced.api.deployment import Deployment
    from undiced.api.key import Guard
    from undiced.api.meter import Meter
    from undiced.api.server import Site
    from undiced.api.settings import Settings
    from undiced.cli.announcement import Announcement
    from undiced.cli.serving.desk import Desk
    from undiced.cli.serving.served import Served
    from undiced.remote.client import EngineClient
    from undiced.remote.spare import Spare


@dataclass(frozen=True, slots=True)
class Life:
    """See the file's head.

    Attributes:
        models: what is served, at least one. told: what hears of it.
        desk, accounts: whose keys let in, and where they are managed; None where no account is asked for.
        spare: an engine process for the first model, if one waits.
    """

    models: Sequence[Served]
    settings: Settings
    sock: socket.socket
    tls: SSLContext | None
    told: Announcement
    desk: Desk | None = None
    accounts: Accounts | None = None
    spare: Spare | None = None

    def run(self) -> int:
        """Live; returns the exit status. On uvloop, where there is one."""
        try:
            return _runner()(self._serve())
        except asyncio.CancelledError:
            return Exit.TERMINATED

    async def _serve(self) -> int:
        """Serve until a signal ends it, or every engine is lost."""
        from undiced.api.metrics import Metrics
        from undiced.remote.client import EngineClient

        _end_on_sigterm()
        metrics = Metrics()
        specs = [served.spec for served in self.models]
        spares = [self.spare, *[None] * len(specs)]
        engines = [
            EngineClient(spec, on_usage=[metrics.of(spec.model).ended], spare=spare)
            for spec, spare in zip(specs, spares, strict=False)
        ]
        async with contextlib.AsyncExitStack() as held:
            guard, meter, beside = await self._guarded(held)
            reading = asyncio.create_task(asyncio.to_thread(_read_api))  # while the engines load
            deployments = [await self._start(at, engine, held) for at, engine in enumerate(engines)]
            await reading
            from undiced.api import server
            from undiced.api.service import Service

            service = Service(deployments, self.settings, metrics, version=__version__, meter=meter)
            self.told.cards = [each.card for each in deployments]
            lost = asyncio.create_task(self._all_lost(engines))
            ready, drain = self.told.ready, self.told.drain
            await server.serve(
                service,
                self.sock,
                on_ready=ready,
                on_drain=drain,
                lost=asyncio.shield(lost),
                tls=self.tls,
                guard=guard,
                beside=beside,
            )
            if not lost.done():
                lost.cancel()
                return Exit.OK
            self.told.lost(lost.result())
            return Exit.ENGINE_LOST

    async def _guarded(self, held: contextlib.AsyncExitStack) -> tuple[Guard | None, Meter | None, list[Site]]:
        if self.desk is None or self.accounts is None:
            return None, None, []
        guard, meter, site = await self.desk.open(self.accounts, held)
        return guard, meter, [site]

    async def _start(self, at: int, engine: EngineClient, held: contextlib.AsyncExitStack) -> Deployment:
        """Load a model; what it holds is let go at the end."""
        served, several = self.models[at], len(self.models) > 1
        name = served.names[0]
        held.push_async_callback(engine.close)
        try:
            what = f" of {name} ({at + 1}/{len(self.models)})" if several else ""
            tokenizer, chat = await loaded(served, engine, what, quiet=self.told.as_json)
            if chat is not None:
                held.callback(chat.close)
            return deployment(served, self.settings, engine, tokenizer, chat)
        except UndicedError as error:
            if several and name not in error.message:
                error.message = f"{name}: {error.message}"
            raise

    async def _all_lost(self, engines: Sequence[EngineClient]) -> UndicedError:
        """Wait until no engine is left; tells of each before the last, whose end it returns."""
        gone: list[UndicedError] = []

        async def wait(engine: EngineClient) -> None:
            gone.append(await engine.given_up())
            if len(gone) < len(engines):
                self.told.lost(gone[-1], engine.spec.model)

        async with asyncio.TaskGroup() as group:
            for engine in engines:
                group.create_task(wait(engine))
        return gone[-1]


def _read_api() -> None:
    """Import what answers requests, which takes a quarter of a second."""
    import undiced.api.server
    import undiced.api.service  # noqa: F401


def _runner() -> Callable[[Coroutine[object, object, int]], int]:
    try:
        import uvloop
    except ImportError:
        return asyncio.run
    return uvloop.run


def _end_on_sigterm() -> None:
    """Until the server listens, and drains, SIGTERM ends the command as Ctrl-C does: nothing is left behind."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
