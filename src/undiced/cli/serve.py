"""`undiced serve`: the composition of a server. Compiles, starts the engine process, loads the tokenizer meanwhile,
serves.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from undiced.cli.options import DEFAULT_MODEL, Json, MaxContext, Model, Threads
from undiced.core.exits import Exit

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Coroutine, Iterator

    from undiced.api.deployment import Deployment, ModelCard
    from undiced.api.settings import Settings
    from undiced.cli.terminal import Bar
    from undiced.engine.backend import Limits
    from undiced.llm import Compiled
    from undiced.remote.client import EngineClient
    from undiced.remote.process import EngineSpec
    from undiced.text import ChatEncoder, Tokenizer

_POLL_S = 0.05


def serve(
    model: Model = DEFAULT_MODEL,
    host: Annotated[str, typer.Option(help="The address to serve at; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 8000,
    threads: Threads = None,
    max_batch: Annotated[int, typer.Option(min=1, max=4096, help="Sequences that run together.")] = 32,
    max_context: MaxContext = None,
    max_queue: Annotated[int, typer.Option(min=1, help="Requests that may wait; more get 429.")] = 256,
    max_connections: Annotated[int, typer.Option(min=1, help="Open connections; more get 503.")] = 2048,
    drain_s: Annotated[float, typer.Option("--drain", min=0, help="Seconds for running answers at the end.")] = 30.0,
    access_log: Annotated[bool, typer.Option("--access-log", help="Log every request.")] = False,
    as_json: Json = False,
) -> None:
    """Serve a model: an OpenAI-compatible API and a chat page."""
    import logging

    from undiced.api.server import bind
    from undiced.cli.terminal import loading
    from undiced.llm import compile_for_host

    logging.basicConfig(
        level=logging.INFO if access_log else logging.WARNING, format="%(levelname)s %(name)s: %(message)s"
    )
    began_s = time.perf_counter()
    with bind(host, port) as sock:
        with loading(model, quiet=as_json) as bar:
            compiled = compile_for_host(
                model, threads=threads, max_batch=max_batch, max_context=max_context, progress=bar
            )
        with saved(compiled) as path:
            team = compiled.program.regions[0].rect.cores
            spec = engine_spec(path, compiled, team, max_queue)
            settings = server_settings(max_queue, max_connections, drain_s)
            told = Announcement(model, sock, team, began_s, as_json)
            _run(_serve(compiled, spec, sock, told, settings, access_log=access_log))


def server_settings(max_queue: int, max_connections: int, drain_s: float) -> Settings:
    """The limits of the HTTP side; one request may not be more than the whole queue."""
    from undiced.api.settings import Settings

    usual = Settings(drain_s=drain_s, max_connections=max_connections)
    most = {"max_choices": min(usual.max_choices, max_queue), "max_sequences": min(usual.max_sequences, max_queue)}
    return replace(usual, **most)


def engine_spec(path: Path, compiled: Compiled, threads: int, max_queue: int) -> EngineSpec:
    """What the engine process is told."""
    from undiced.remote.process import EngineSpec

    checkpoint = str(compiled.checkpoint.path.absolute())
    return EngineSpec(program=str(path), checkpoint=checkpoint, threads=threads, max_waiting=max_queue)


@contextlib.contextmanager
def saved(compiled: Compiled) -> Iterator[Path]:
    """The program in a file, for as long as it is needed."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="undiced-program-") as folder:
        path = Path(folder) / "program"
        compiled.program.save(path)
        yield path


def _run(main: Coroutine[object, object, None]) -> None:
    """Run the event loop; uvloop where there is one."""
    import asyncio

    try:
        _runner()(main)
    except asyncio.CancelledError:
        raise SystemExit(Exit.TERMINATED) from None


def _runner() -> Callable[[Coroutine[object, object, None]], None]:
    import asyncio

    try:
        import uvloop
    except ImportError:
        return asyncio.run
    return uvloop.run


class Announcement:
    """What the terminal is told, in words or in JSON."""

    def __init__(self, model: str, sock: socket.socket, threads: int, began_s: float, as_json: bool) -> None:
        self.model, self.threads, self.began_s, self.as_json = model, threads, began_s, as_json
        host, self.port = sock.getsockname()[:2]
        shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
        self.url = f"http://{shown}:{self.port}"
        self.limits: Limits | None = None
        self.name = model

    def ready(self) -> None:
        """Requests are taken."""
        from undiced.cli.terminal import counted, emit

        seconds = time.perf_counter() - self.began_s
        assert self.limits is not None
        if self.as_json:
            facts = {"model": self.name, "url": self.url, "threads": self.threads, "context": self.limits.context}
            emit({"event": "ready", **facts, "max_batch": self.limits.max_batch, "seconds": round(seconds, 3)})
            return
        typer.secho(f"{self.name} is ready after {seconds:.1f} s", bold=True)
        typer.echo(f"  chat page   {self.url}/")
        typer.echo(f"  API         {self.url}/v1")
        threads, batch = counted(self.threads, "thread"), counted(self.limits.max_batch, "sequence")
        shape = f"{threads}, context {self.limits.context}, {batch} at once"
        typer.secho(f"  {shape}. Ctrl-C stops.", fg="bright_black")

    def drain(self, running: int) -> None:
        """No more requests are taken."""
        from undiced.cli.terminal import counted, emit

        if self.as_json:
            emit({"event": "draining", "running": running})
        elif running:
            typer.echo(f"Finishing {counted(running, 'answer')}; Ctrl-C again ends them.", err=True)


async def _serve(
    compiled: Compiled,
    spec: EngineSpec,
    sock: socket.socket,
    told: Announcement,
    settings: Settings,
    *,
    access_log: bool,
) -> None:
    from undiced.api import server
    from undiced.api.metrics import Metrics
    from undiced.api.service import Service
    from undiced.remote.client import EngineClient

    _end_on_sigterm()
    metrics = Metrics()
    told.name = served_name(told.model, compiled)
    engine = EngineClient(spec, on_usage=[metrics.of(told.name).ended])
    try:
        tokenizer, chat = await _load(compiled, engine, told)
        card = model_card(told.model, compiled, engine.limits)
        service = Service([_deployment(card, engine, tokenizer, chat, settings)], settings, metrics)
        await server.serve(service, sock, on_ready=told.ready, on_drain=told.drain, access_log=access_log)
    finally:
        await engine.close()


def _end_on_sigterm() -> None:
    """Until the server listens, and drains, SIGTERM ends the command as Ctrl-C does: nothing is left behind."""
    import asyncio
    import signal

    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


async def _load(compiled: Compiled, engine: EngineClient, told: Announcement) -> tuple[Tokenizer, ChatEncoder | None]:
    """Start the engine and load what handles text, side by side; the first failure ends both."""
    import asyncio

    from undiced.cli.terminal import Bar

    with Bar("Packing weights", quiet=told.as_json) as bar:
        watching = asyncio.create_task(_watch(engine, bar))
        starting = asyncio.create_task(engine.start())
        reading = asyncio.create_task(asyncio.to_thread(_text_parts, compiled))
        try:
            told.limits, parts = await asyncio.gather(starting, reading)
        finally:
            for task in (watching, starting, reading):
                task.cancel()
            await asyncio.gather(watching, starting, reading, return_exceptions=True)
    return parts


async def _watch(engine: EngineClient, bar: Bar) -> None:
    """Show how far the engine's loading is."""
    import asyncio

    while True:
        await asyncio.sleep(_POLL_S)
        health = engine.health
        bar.share(health.progress, health.detail.capitalize())


def _text_parts(compiled: Compiled) -> tuple[Tokenizer, ChatEncoder | None]:
    """Tokenizer and chat encoder; loaded while the engine packs weights."""
    from undiced.text import ChatEncoder, load_chat_template, load_tokenizer

    tokenizer = load_tokenizer(compiled.checkpoint)
    template = load_chat_template(compiled.checkpoint)
    return tokenizer, None if template is None else ChatEncoder(template, tokenizer)


def _deployment(
    card: ModelCard, engine: EngineClient, tokenizer: Tokenizer, chat: ChatEncoder | None, settings: Settings
) -> Deployment:
    from undiced.api.deployment import Deployment

    return Deployment(card, engine, tokenizer, chat, settings)


def served_name(ref: str, compiled: Compiled) -> str:
    """What clients call the model: a packaged one by its name, another by the name of its file."""
    from undiced.checkpoint import CATALOG

    packaged, path = CATALOG.get(ref.casefold()), compiled.checkpoint.path
    return packaged.name if packaged else path.stem if path.is_file() else path.resolve().name


def model_card(ref: str, compiled: Compiled, limits: Limits) -> ModelCard:
    """The model as clients see it."""
    from undiced.api.deployment import ModelCard
    from undiced.checkpoint import CATALOG

    packaged, path = CATALOG.get(ref.casefold()), compiled.checkpoint.path
    name = served_name(ref, compiled)
    return ModelCard(
        id=name,
        created=int(path.stat().st_mtime),
        context=min(limits.context, limits.pages * limits.page_tokens),
        digest=f"{compiled.checkpoint.digest}:{compiled.program.digest}",
        aliases=tuple({ref, compiled.checkpoint.name} - {name}),
        license=packaged.license if packaged else "",
    )
