"""The engine process: loads a backend and steps it for as long as its parent lives.

Reads its spec from standard input, then talks frames over one inherited socket: no HTTP, no text. Sleeps when there is
nothing to do. An error in the engine ends the process, after telling why; starting another is the parent's business.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import gc
import importlib
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from undiced.core.errors import EngineError, UndicedError
from undiced.core.exits import Exit
from undiced.core.memory import give_back
from undiced.remote.compiling import POLL_S, Compiling, Waiting
from undiced.remote.frames import (
    Accepted,
    Cancel,
    EndThought,
    Failed,
    Failure,
    Finish,
    Hold,
    Progress,
    Ready,
    Refused,
    Step,
    Stop,
    Submit,
    ToEngine,
)
from undiced.remote.link import Link, LinkClosedError
from undiced.remote.pulse import Pulse
from undiced.remote.spec import EngineSpec, decode_spec
from undiced.serve.loop import EngineLoop
from undiced.serve.scheduler import Scheduler

if TYPE_CHECKING:
    from undiced.engine.backend import Backend

_PR_SET_PDEATHSIG = 1
_OOM_SCORE = "500"  # when memory runs out the kernel shall take the engine, which is restarted, and not the server
_LAST_WORDS_S = 2.0
_STATS_EVERY_S = 0.02
_IDLE_S = 1.0  # without work before the books are checked: nobody shall wait for that
_INSPECT_EVERY_S = 60.0


def open_backends(spec: EngineSpec, link: Link, pulse: Pulse) -> tuple[Backend, Backend | None]:
    """Call the factories of the model and of its draft model, reporting their progress to the parent."""
    done, share = 0.0, 1.0 if spec.draft is None else 0.5

    def told(fraction: float, what: str) -> None:
        pulse.turns += 1
        link.send(Progress(done + share * float(fraction), str(what)))

    backend: Backend = _factory(spec.backend)(spec.options, told)
    if spec.draft is None:
        return backend, None
    done = share
    from undiced.serve.drafting import check_pair  # brings numpy

    try:
        draft: Backend = _factory(spec.draft_backend)(spec.draft, told, backend)
        check_pair(backend.limits, draft.limits)
    except BaseException:
        backend.close()
        raise
    return backend, draft


def _factory(name: str) -> Callable[..., Backend]:
    module, _, function = name.partition(":")
    found: Callable[..., Backend] = getattr(importlib.import_module(module), function)
    return found


def obey(message: ToEngine, loop: EngineLoop, link: Link, compiling: Compiling) -> bool:
    """Do what the parent says; False means exit."""
    if isinstance(message, Submit):
        submit(message, loop, link, compiling)
    elif isinstance(message, Cancel):
        cancel(message.request_id, loop, link, compiling)
    elif isinstance(message, Finish):
        loop.finish(message.request_id, message.at_token, message.reason)
    elif isinstance(message, Hold):
        loop.hold(message.request_id, held=message.held)
    elif isinstance(message, EndThought):
        loop.end_thought(message.request_id)
        compiling.end_thought(message.request_id)
    return not isinstance(message, Stop)


def submit(message: Submit, loop: EngineLoop, link: Link, compiling: Compiling) -> None:
    """Queue a request, at once or when its grammar is compiled."""
    guide = message.request.guide
    if guide is None or not guide.grammar:
        admit(Waiting(message), loop, link)
    elif (matcher := compiling.known(guide.grammar)) is not None:
        admit(Waiting(message, matcher), loop, link)
    else:
        compiling.wait(message)


def admit(one: Waiting, loop: EngineLoop, link: Link) -> None:
    """Queue a request, or refuse it."""
    request = one.submit.request
    try:
        if one.error is not None:
            raise one.error
        loop.add(request, one.submit.arrival_s, one.matcher)
    except UndicedError as why:
        link.send(Refused(request.id, Failure.of(why)))
    else:
        link.send(Accepted(request.id))


def cancel(request_id: str, loop: EngineLoop, link: Link, compiling: Compiling) -> None:
    """End a request that nobody reads. One whose grammar is still compiled is queued without it to be ended there, so
    that it has an account like any other, and no step.
    """
    if (waiting := compiling.give_up(request_id)) is not None:
        admit(Waiting(Submit(replace(waiting.request, guide=None), waiting.arrival_s)), loop, link)
    loop.cancel(request_id)


def serve(loop: EngineLoop, link: Link, pulse: Pulse, compiling: Compiling) -> None:
    """Step until told to stop.

    Raises:
        EngineError: the backend failed, or the page pool is damaged. LinkClosedError: the parent is gone.
    """
    told_s, inspection = 0.0, Inspection(loop)
    while True:
        idle = pulse.resting = loop.idle
        messages = link.receive(POLL_S if idle and compiling.waiting else inspection.due_s() if idle else 0.0)
        pulse.resting = False
        pulse.turns += 1
        for message in messages:
            if not obey(message, loop, link, compiling):
                return
        for one in compiling.ready():
            admit(one, loop, link)
        if not loop.idle:
            deltas, now = loop.step(), time.monotonic()
            due = loop.idle or now - told_s >= _STATS_EVERY_S
            link.send(Step(deltas, loop.stats() if due else None))
            told_s = now if due else told_s
            inspection.wanted = True
        elif not messages:
            inspection.make()


class Inspection:
    """When the books of the page pool are checked: some time after the last step, and now and then at most.

    Attributes:
        wanted: something was computed since the last check.
    """

    def __init__(self, loop: EngineLoop) -> None:
        self.wanted = False
        self._loop = loop
        self._next_s = 0.0

    def due_s(self) -> float | None:
        """How long to wait for messages before `make`; None for ever."""
        return max(_IDLE_S, self._next_s - time.monotonic()) if self.wanted else None

    def make(self) -> None:
        """Check now if it is due.

        Raises:
            EngineError: a page is lost, doubled or held by nobody.
        """
        now = time.monotonic()
        if self.wanted and now >= self._next_s:
            self.wanted, self._next_s = False, now + _INSPECT_EVERY_S
            self._loop.check()


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


def run(spec: EngineSpec, link: Link, pulse: Pulse) -> int:
    """Load, serve, and tell the parent if anything goes wrong; returns the exit status."""
    loop = None
    try:
        backend, draft = open_backends(spec, link, pulse)
        compiling = Compiling(spec, backend.limits.vocab)
        scheduler = Scheduler(backend.limits, spec.policy, None if draft is None else draft.limits)
        loop = EngineLoop(backend, scheduler, draft=draft)
        pulse.progress = loop.progress
        gc.freeze()  # what is alive now stays, and little else is there; steps shall not pay for walking it
        gc.enable()
        give_back()
        link.send(Ready(backend.limits))
        serve(loop, link, pulse, compiling)
    except LinkClosedError:
        return Exit.OK
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
        pulse.let_go()
        if loop is not None:
            loop.close()
    return Exit.OK


def main() -> int:
    """Entry point: the spec comes on standard input, the sockets are inherited under the two numbers given. Behind them
    stand modules to import until then. Nothing comes if whoever started it has no use for it.
    """
    faulthandler.enable()
    gc.disable()  # until it is loaded: all that comes into being stays
    guard_against_orphanage()
    link_fd, pulse_fd = (int(number) for number in sys.argv[1:3])
    pulse = Pulse(socket.socket(fileno=pulse_fd))
    pulse.start()
    link = Link(socket.socket(fileno=link_fd))
    try:
        for name in sys.argv[3:]:
            importlib.import_module(name)
        document = sys.stdin.buffer.read()
        return run(decode_spec(document), link, pulse) if document else Exit.OK
    finally:
        link.close()


if __name__ == "__main__":
    sys.exit(main())
