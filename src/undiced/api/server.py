"""Runs applications on sockets that are bound: drains on SIGTERM, ends the rest with an error.
Knows no model.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

import uvicorn

from undiced.api.address import BACKLOG, listen
from undiced.api.app import build_app
from undiced.api.connection import connection_class
from undiced.api.memory import give_back_large_blocks
from undiced.core.memory import give_back

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Iterator, Sequence
    from ssl import SSLContext

    from starlette.types import ASGIApp

    from undiced.api.budget import Budget
    from undiced.api.key import Guard
    from undiced.api.service import Service
    from undiced.api.settings import Settings

_POLL_S = 0.02
_LAST_WORDS_S = 2.0  # for the error chunks of streams that did not end in time
_KEEP_ALIVE_S = 75  # longer than what proxies keep a connection for


class _Server(uvicorn.Server):
    """Uvicorn without its signal handlers: it would close the door at once, and we answer 503 while we drain."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass(frozen=True, slots=True)
class Site:
    """An application and where it is served. `budget`: memory for its requests."""

    app: ASGIApp
    sock: socket.socket
    settings: Settings
    budget: Budget


async def serve(
    service: Service,
    sock: socket.socket,
    *,
    on_ready: Callable[[], None],
    on_drain: Callable[[int], None],
    lost: Awaitable[object] | None = None,
    tls: SSLContext | None = None,
    guard: Guard | None = None,
    beside: Sequence[Site] = (),
) -> None:
    """Serve until SIGTERM, SIGINT or SIGHUP, then drain; or until `lost` is done, which is when the engine has failed
    for good.

    While draining, /health and new requests get 503 and running answers go on, for at most `settings.drain_s` seconds
    or until a second SIGTERM or SIGINT; answers that are still running then end with an error. `on_drain` is called
    with their number. With `tls` nothing else is spoken. `guard`: lets requests in, where it is not the settings' key.
    What is `beside` is served as long, in the same way.
    """
    sites = [Site(build_app(service, guard), sock, service.settings, service.bodies.budget), *beside]
    for site in sites:
        listen(site.sock)
    give_back_large_blocks()
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # what strangers send is no news
    servers = [_server(site, tls) for site in sites]
    drain = Drain(service, servers, on_drain)
    drain.listen()
    losing = asyncio.ensure_future(drain.when(lost)) if lost is not None else None
    tasks = [
        asyncio.create_task(server.serve(sockets=[site.sock])) for server, site in zip(servers, sites, strict=True)
    ]
    while not all(server.started for server in servers) and not any(task.done() for task in tasks):
        await asyncio.sleep(0.001)
    if all(server.started for server in servers):
        gc.freeze()  # what is alive now stays, and little else is there; requests shall not pay for walking it
        gc.enable()
        give_back()
        on_ready()
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    drain.end()
    await asyncio.gather(*tasks)
    if losing is not None:
        losing.cancel()


def _server(site: Site, tls: SSLContext | None) -> _Server:
    config = uvicorn.Config(
        site.app,
        loop="none",
        http=connection_class(site.settings, site.budget),
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=5,
        backlog=BACKLOG,
    )
    config.load()
    config.ssl = tls
    return _Server(config)


class Drain:
    """The way from serving to stopped. It goes on whatever becomes of `on_drain`, which writes to a terminal."""

    def __init__(self, service: Service, servers: Sequence[uvicorn.Server], on_drain: Callable[[int], None]) -> None:
        self.service = service
        self.servers = servers
        self.on_drain = on_drain
        self.hurry = False
        self.task: asyncio.Task[None] | None = None

    def listen(self) -> None:
        """Follow signals from now on."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.signaled)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup sets it
            # a terminal that closes sends it once, its shell once more: it never hurries
            loop.add_signal_handler(signal.SIGHUP, self.asked)

    def signaled(self) -> None:
        """The first signal drains, the second ends what still runs."""
        if self.task is None:
            self.asked()
        else:
            self.hurry = True

    def asked(self) -> None:
        """Drain, and say so."""
        if self.task is None:
            self.begin(self.service.settings.drain_s)
            self.on_drain(len(self.service.running))

    async def when(self, lost: Awaitable[object]) -> None:
        """End once the engine is lost: its streams have their errors, nothing else can be answered."""
        await lost
        self.begin(_LAST_WORDS_S)

    def begin(self, limit_s: float) -> None:
        """Take no more requests, and stop when none runs any more, or after `limit_s` seconds."""
        if self.task is not None:
            return
        self.service.state = "draining"
        self.task = asyncio.get_running_loop().create_task(self._run(limit_s))

    async def _run(self, limit_s: float) -> None:
        await self._until_idle(limit_s)
        self.service.state = "stopped"
        for task in list(self.service.running):
            task.cancel()
        self.hurry = False
        await self._until_idle(_LAST_WORDS_S)
        self.end()

    def end(self) -> None:
        """Close the doors."""
        for server in self.servers:
            server.should_exit = True

    async def _until_idle(self, limit_s: float) -> None:
        clock = asyncio.get_running_loop().time
        end_s = clock() + limit_s
        while self.service.running and not self.hurry and clock() < end_s:
            await asyncio.sleep(_POLL_S)
