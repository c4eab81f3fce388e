"""`undiced serve`: the composition of a server. Compiles, starts the engine process, loads the tokenizer meanwhile,
serves.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from undiced import __version__
from undiced.cli.config_file import Config
from undiced.cli.environment import unknown_variables
from undiced.cli.logs import LogFormat, LogLevel, log_to
from undiced.cli.options import DEFAULT_MODEL, Json, MaxContext, Model, Revision, Threads
from undiced.core.exits import Exit

if TYPE_CHECKING:
    import socket
    import threading
    from collections.abc import Callable, Coroutine, Iterator, Sequence
    from ssl import SSLContext

    from undiced.api.deployment import Deployment, ModelCard, ModelFacts
    from undiced.api.settings import Settings
    from undiced.cli.announcement import Announcement
    from undiced.engine.backend import Limits
    from undiced.llm import Compiled
    from undiced.remote.client import EngineClient
    from undiced.remote.spec import EngineSpec
    from undiced.text import ChatEncoder, Tokenizer

_log = logging.getLogger("undiced.serve")
_POLL_S = 0.05
_BAR_S = 1.0  # for the bar to leave the terminal


def serve(
    model: Model = DEFAULT_MODEL,
    config: Config = None,
    host: Annotated[str, typer.Option(help="The address to serve at; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", "-p", min=0, max=65535, help="The port; 0 takes a free one.")] = 8000,
    threads: Threads = None,
    max_batch: Annotated[int, typer.Option(min=1, max=4096, help="Sequences that run together.")] = 32,
    max_context: MaxContext = None,
    revision: Revision = None,
    max_queue: Annotated[int, typer.Option(min=1, help="Requests that may wait; more get 429.")] = 256,
    max_connections: Annotated[int, typer.Option(min=1, help="Open connections; more get 503.")] = 2048,
    drain_s: Annotated[float, typer.Option("--drain", min=0, help="Seconds for running answers at the end.")] = 30.0,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="A further name for the server; *.name, or * for all.")
    ] = None,
    allow_origin: Annotated[
        list[str] | None, typer.Option(help="An origin whose web pages may use the server; * for all.")
    ] = None,
    served_model_name: Annotated[
        list[str] | None, typer.Option(help="The model's name for clients; further ones are accepted too.")
    ] = None,
    api_key: Annotated[
        str | None, typer.Option(help="A key that requests have to carry; better given as UNDICED_API_KEY.")
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="A certificate with its chain, as PEM: speak TLS.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="The certificate's key, as PEM.")] = None,
    tool_format: Annotated[
        str, typer.Option(help="How the model writes calls, where its template doesn't tell; none: it can't call.")
    ] = "",
    thinking_format: Annotated[
        str, typer.Option(help="How it writes thoughts, where its template doesn't tell; none: they are content.")
    ] = "",
    log_level: Annotated[LogLevel, typer.Option(help="What is logged: info has a line per request.")] = LogLevel.INFO,
    log_format: Annotated[LogFormat, typer.Option(help="How lines of the log look.")] = LogFormat.TEXT,
    as_json: Json = False,
) -> None:
    """Serve a model: an OpenAI-compatible API and a chat page.

    A sampling number that a chat request leaves open is the model's own if it brings any, else OpenAI's default.
    """
    from undiced.api.server import bind
    from undiced.api.tls import tls_context
    from undiced.checkpoint import at_revision
    from undiced.cli.announcement import Announcement
    from undiced.cli.commands import all_built
    from undiced.cli.terminal import loading
    from undiced.cli.voice import Voice
    from undiced.llm import compile_for_host
    from undiced.text.formats import check_names

    began_s, voice = time.perf_counter(), Voice()
    os.environ.pop("UNDICED_API_KEY", None)  # neither the engine nor a model's templates shall have it
    log_to(voice, log_level, log_format)
    for name in unknown_variables(all_built()):
        _log.warning("The environment has %s, which is no option.", name)
    try:
        model = at_revision(model, revision)
        check_names(tool_format, thinking_format)
        hosts, tls = [host, *(allow_host or ())], tls_context(tls_cert, tls_key)
        settings = server_settings(max_queue, max_connections, drain_s, hosts, allow_origin or (), api_key)
        with bind(host, port) as sock:
            with loading(model, quiet=as_json) as bar:
                compiled = compile_for_host(
                    model, threads=threads, max_batch=max_batch, max_context=max_context, progress=bar
                )
            os.environ.pop("HF_TOKEN", None)  # what it opened is here; the engine shall not have it
            names = tuple(served_model_name or served_names(model, compiled))
            spec = engine_spec(compiled, max_queue, names[0])
            told = Announcement(voice, sock, spec, began_s, settings, secure=tls is not None, as_json=as_json)
            served = _Served(model, names, compiled, spec, settings, tls, (tool_format, thinking_format))
            status = _run(_serve(served, sock, told))
    finally:
        voice.close()
    raise typer.Exit(status)


def server_settings(
    max_queue: int,
    max_connections: int,
    drain_s: float,
    hosts: Sequence[str] = (),
    origins: Sequence[str] = (),
    api_key: str | None = None,
) -> Settings:
    """The limits of the HTTP side; one request may not be more than the whole queue.

    Raises:
        InvalidRequestError: a host, origin or key that is none.
    """
    from undiced.api.gate import Gate
    from undiced.api.key import Lock
    from undiced.api.settings import Settings

    settings = Settings(tuple(hosts), tuple(origins), api_key, drain_s=drain_s, max_connections=max_connections)
    Gate(settings), Lock(api_key)  # what is wrong with them is said before a model is loaded
    choices, sequences = min(settings.max_choices, max_queue), min(settings.max_sequences, max_queue)
    return replace(settings, max_choices=choices, max_sequences=sequences)


def engine_spec(compiled: Compiled, max_queue: int, name: str) -> EngineSpec:
    """What the engine process is told: this program and these very files, also when it is started again."""
    from undiced.checkpoint.identity import identity
    from undiced.engine.load import BackendOptions
    from undiced.remote.spec import EngineSpec
    from undiced.serve import Policy

    path = compiled.checkpoint.path.absolute()
    options = BackendOptions(
        program=compiled.program.encoded(),
        program_digest=compiled.program.digest,
        checkpoint=str(path),
        checkpoint_digest=compiled.checkpoint.digest,
        identity=identity(path),
        threads=compiled.program.cores,
    )
    return EngineSpec(options, Policy(max_waiting=max_queue), model=name)


def _run(main: Coroutine[object, object, int]) -> int:
    """Run the event loop; uvloop where there is one. Returns the exit status."""
    import asyncio

    try:
        return _runner()(main)
    except asyncio.CancelledError:
        return Exit.TERMINATED


def _runner() -> Callable[[Coroutine[object, object, int]], int]:
    import asyncio

    try:
        import uvloop
    except ImportError:
        return asyncio.run
    return uvloop.run


@dataclass(frozen=True, slots=True)
class _Served:
    """What is served, and how. `names`: the model's for clients; `formats`: of calls and of thoughts."""

    ref: str
    names: tuple[str, ...]
    compiled: Compiled
    spec: EngineSpec
    settings: Settings
    tls: SSLContext | None
    formats: tuple[str, str]


async def _serve(served: _Served, sock: socket.socket, told: Announcement) -> int:
    """Serve until a signal ends it, or the engine is lost; returns the exit status."""
    import asyncio

    from undiced.api import server
    from undiced.api.metrics import Metrics
    from undiced.api.service import Service
    from undiced.remote.client import EngineClient

    _end_on_sigterm()
    chat: ChatEncoder | None = None
    spec, settings, metrics = served.spec, served.settings, Metrics()
    engine = EngineClient(spec, on_usage=[metrics.of(spec.model).ended])
    try:
        tokenizer, chat = await _load(served.compiled, engine, told)
        deployment = _deployment(served, engine, tokenizer, chat)
        service = Service([deployment], settings, metrics, version=__version__)
        lost = asyncio.create_task(engine.given_up())
        await server.serve(
            service, sock, on_ready=told.ready, on_drain=told.drain, lost=asyncio.shield(lost), tls=served.tls
        )
        if not lost.done():
            lost.cancel()
            return Exit.OK
        told.lost(lost.result())
        return Exit.ENGINE_LOST
    finally:
        await engine.close()
        if chat is not None:
            chat.close()


def _facts(served: _Served, limits: Limits, chat: ChatEncoder | None) -> ModelFacts:
    from undiced.api.deployment import ModelFacts
    from undiced.checkpoint import bytes_by_format

    compiled = served.compiled
    return ModelFacts(
        quantization=next(iter(bytes_by_format(compiled.checkpoint))),
        parameters=compiled.graph.parameters,
        weight_bytes=compiled.graph.weight_bytes,
        vocabulary=limits.vocab,
        chat_template=None if chat is None else chat.template.source,
        max_batch=limits.max_batch,
        max_queue=served.spec.policy.max_waiting,
    )


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

    with _shown(engine, quiet=told.as_json):
        starting = asyncio.create_task(engine.start())
        reading = asyncio.create_task(asyncio.to_thread(_text_parts, compiled))
        try:
            told.limits, parts = await asyncio.gather(starting, reading)
        finally:
            for task in (starting, reading):
                task.cancel()
            await asyncio.gather(starting, reading, return_exceptions=True)
    return parts


@contextlib.contextmanager
def _shown(engine: EngineClient, *, quiet: bool) -> Iterator[None]:
    """Show how far the engine's loading is, from a thread: a terminal that takes nothing shall not stop the server."""
    import threading

    over = threading.Event()
    thread = threading.Thread(target=_show, args=(engine, over, quiet), name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(_BAR_S)


def _show(engine: EngineClient, over: threading.Event, quiet: bool) -> None:
    from undiced.cli.terminal import Bar

    with Bar("Packing weights", quiet=quiet) as bar:
        while not over.wait(_POLL_S):
            health = engine.health
            bar.share(health.progress, health.detail.capitalize())


def _text_parts(compiled: Compiled) -> tuple[Tokenizer, ChatEncoder | None]:
    """Tokenizer and chat encoder; loaded while the engine packs weights."""
    from undiced.text import ChatEncoder, load_chat_template, load_tokenizer

    tokenizer = load_tokenizer(compiled.checkpoint)
    template = load_chat_template(compiled.checkpoint)
    chat = None if template is None else ChatEncoder(template, tokenizer)
    if chat is not None and chat.problem:
        _log.warning("This model cannot chat; text completions are served. %s", chat.problem)
    return tokenizer, chat


def _deployment(served: _Served, engine: EngineClient, tokenizer: Tokenizer, chat: ChatEncoder | None) -> Deployment:
    """Raises InvalidRequestError for a format of calls in which the model can't call."""
    from undiced.api.deployment import Deployment
    from undiced.text.formats import Dialect

    family = served.compiled.graph.config.family
    dialect = Dialect() if chat is None else chat.dialect(family, *served.formats)
    card = replace(
        model_card(served.ref, served.names, served.compiled, engine.limits),
        facts=_facts(served, engine.limits, chat),
        efforts=() if chat is None else chat.efforts,
        calls=dialect.format is not None,
    )
    return Deployment(card, engine, tokenizer, chat, served.settings, dialect)


def served_names(ref: str, compiled: Compiled) -> list[str]:
    """What clients call the model unless they are told otherwise, the name that is shown first: a packaged one by its
    name, another by the name of its file; and what the server was started with.
    """
    from undiced.checkpoint import CATALOG
    from undiced.core.quote import stem

    packaged, path = CATALOG.get(ref.casefold()), compiled.checkpoint.path
    shown = packaged.name if packaged else stem(path) if path.is_file() else compiled.checkpoint.name
    return list(dict.fromkeys((shown, ref, compiled.checkpoint.name)))


def model_card(ref: str, names: Sequence[str], compiled: Compiled, limits: Limits) -> ModelCard:
    """The model as clients see it."""
    from undiced.api.deployment import ModelCard
    from undiced.checkpoint import own_sampling
    from undiced.checkpoint.license import license_of

    path = compiled.checkpoint.path
    return ModelCard(
        id=names[0],
        created=int(path.stat().st_mtime),
        context=min(limits.context, limits.pages * limits.page_tokens),
        digest=f"{compiled.checkpoint.digest}:{compiled.program.digest}",
        aliases=tuple(names[1:]),
        license=license_of(compiled.checkpoint),
        sampling=own_sampling(compiled.checkpoint),
    )
