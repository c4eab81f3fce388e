"""The engine process: loads a backend and steps it for as long as its parent lives.

`python -m undiced.remote.engine_process`. Talks frames over one unix socket and nothing else: no HTTP, no text. Sleeps
when there is nothing to do. An error in the engine ends the process, after telling why; starting another is the
parent's business.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import importlib
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from undiced.core.errors import EngineError, UndicedError
from undiced.core.exits import Exit
from undiced.engine.load import BackendOptions
from undiced.remote.frames import (
    Accepted,
    Cancel,
    Failed,
    Failure,
    Finish,
    Progress,
    Ready,
    Refused,
    Step,
    Stop,
    Submit,
    ToEngine,
)
from undiced.remote.link import Link, LinkClosedError
from undiced.serve.loop import EngineLoop
from undiced.serve.policy import Policy
from undiced.serve.scheduler import Scheduler

if TYPE_CHECKING:
    from undiced.engine.backend import Backend

_POLICY = Policy()
_PR_SET_PDEATHSIG = 1
_OOM_SCORE = "500"  # when memory runs out the kernel shall take the engine, which is restarted, and not the server
_LAST_WORDS_S = 2.0
_STATS_EVERY_S = 0.02


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line, as `EngineSpec.command` writes it."""
    parser = argparse.ArgumentParser(prog="undiced.remote.engine_process")
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument(
        "--backend", default="undiced.engine.load:open_host", help="module:function(BackendOptions) -> Backend"
    )
    parser.add_argument("--program", default="")
    parser.add_argument("--checkpoint", default="")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pages", type=int)
    parser.add_argument("--max-tokens", type=int, default=256)
    parser.add_argument("--isa", default="")
    parser.add_argument("--max-waiting", type=int, default=_POLICY.max_waiting)
    parser.add_argument("--stall-s", type=float, default=_POLICY.stall_s)
    return parser.parse_args(arguments)


def open_backend(options: argparse.Namespace, link: Link) -> Backend:
    """Call the factory, reporting its progress to the parent."""
    module, _, function = options.backend.partition(":")
    factory = getattr(importlib.import_module(module), function)
    backend: Backend = factory(
        BackendOptions(
            program=options.program,
            checkpoint=options.checkpoint,
            threads=options.threads,
            pages=options.pages,
            max_tokens=options.max_tokens,
            isa=options.isa,
            progress=lambda fraction, what: link.send(Progress(float(fraction), str(what))),
        )
    )
    return backend


def obey(message: ToEngine, loop: EngineLoop, link: Link) -> bool:
    """Do what the parent says; False means exit."""
    if isinstance(message, Submit):
        try:
            loop.add(message.request, message.arrival_s)
        except UndicedError as error:
            link.send(Refused(message.request.id, Failure.of(error)))
        else:
            link.send(Accepted(message.request.id))
    elif isinstance(message, Cancel):
        loop.cancel(message.request_id)
    elif isinstance(message, Finish):
        loop.finish(message.request_id, message.at_token, message.reason)
    return not isinstance(message, Stop)


def serve(loop: EngineLoop, link: Link) -> None:
    """Step until told to stop.

    Raises:
        EngineError: the backend failed. LinkClosedError: the parent is gone.
    """
    told_s = 0.0
    while True:
        for message in link.receive(wait=loop.idle):
            if not obey(message, loop, link):
                return
        if not loop.idle:
            deltas, now = loop.step(), time.monotonic()
            due = loop.idle or now - told_s >= _STATS_EVERY_S
            link.send(Step(deltas, loop.stats() if due else None))
            told_s = now if due else told_s


def guard_against_orphanage() -> None:
    """Die with the parent, even in the middle of a step; ignore signals meant for it; be the first to go when memory
    runs out.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE, encoding="ascii")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def run(options: argparse.Namespace, link: Link) -> int:
    """Load, serve, and tell the parent if anything goes wrong; returns the exit status."""
    loop = None
    try:
        backend = open_backend(options, link)
        policy = Policy(max_waiting=options.max_waiting, stall_s=options.stall_s)
        loop = EngineLoop(backend, Scheduler(backend.limits, policy))
        gc.collect()
        gc.freeze()  # what is alive now stays; steps shall not pay for walking it
        link.send(Ready(backend.limits))
        serve(loop, link)
    except LinkClosedError:
        return 0
    except Exception as error:
        known = (
            error
            if isinstance(error, UndicedError)
            else EngineError(f"The engine failed: {type(error).__name__}: {error}")
        )
        with contextlib.suppress(LinkClosedError):
            link.send(Failed(Failure.of(known)))
            if loop is not None:
                link.send(Step(loop.fail(), loop.stats()))
            link.drain(_LAST_WORDS_S)
        if known is not error:
            raise
        return Exit.ERROR
    finally:
        if loop is not None:
            loop.close()
    return 0


def main() -> int:
    """Entry point."""
    guard_against_orphanage()
    options = parse(sys.argv[1:])
    try:
        link = Link(options.socket)
    except OSError:
        return 0  # the parent has gone, or does not want us any more
    try:
        return run(options, link)
    finally:
        link.close()


if __name__ == "__main__":
    sys.exit(main())
