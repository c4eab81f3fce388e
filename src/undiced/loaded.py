"""Loaded: a compiled model on an engine in this process, and what handles its text: made side by side, for `LLM`. A
composition root: it may import everything, and loads nothing before it is asked.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct

from undiced.core.beside import Beside

if TYPE_CHECKING:
    from undiced.checkpoint import Checkpoint
    from undiced.compiled import Compiled, Progress
    from undiced.engine.host import HostBackend
    from undiced.serve.loop import EngineLoop
    from undiced.text import ChatTemplate, Tokenizer


class Loaded(Struct, frozen=True):
    """See the file's head. `template`: of chats; None for a base model."""

    engine: EngineLoop
    tokenizer: Tokenizer
    template: ChatTemplate | None


def load(compiled: Compiled, guessing: Compiled | None, *, speculate: bool, progress: Progress | None) -> Loaded:
    """The model, and the one that guesses for it if there is one, on one team of threads.

    Raises:
        UndicedError: weights and pages do not fit, or the tokenizer can't be used.
    """
    import undiced.engine.host  # noqa: F401  # first of all: what is imported beside it would only hold it up

    reading = Beside(partial(_text, compiled.checkpoint))  # while the team packs weights
    try:
        backend, guesser = _backends(compiled, guessing, progress)
    finally:
        reading.wait()
    if backend.packed or (guesser is not None and guesser.packed):
        from undiced.core.memory import give_back

        give_back()
    from undiced.serve import Policy, Scheduler
    from undiced.serve.loop import EngineLoop

    scheduler = Scheduler(backend.limits, Policy(speculate=speculate), None if guesser is None else guesser.limits)
    engine = EngineLoop(backend, scheduler, draft=guesser)
    try:
        return Loaded(engine, *reading.result())
    except BaseException:
        engine.close()
        raise


def _backends(
    compiled: Compiled, guessing: Compiled | None, progress: Progress | None
) -> tuple[HostBackend, HostBackend | None]:
    from undiced.engine.host import HostBackend
    from undiced.engine.kept import KeptWeights
    from undiced.engine.pool import pools

    [pages] = pools([compiled.program], [None if guessing is None else guessing.program])
    kept = KeptWeights(compiled.checkpoint, compiled.program.slots)
    backend = HostBackend(compiled.program, compiled.checkpoint, pages=pages, progress=progress, kept=kept)
    if guessing is None:
        return backend, None
    try:
        kept = KeptWeights(guessing.checkpoint, guessing.program.slots)
        return backend, HostBackend(guessing.program, guessing.checkpoint, pages=pages, team=backend, kept=kept)
    except BaseException:
        backend.close()
        raise


def _text(checkpoint: Checkpoint) -> tuple[Tokenizer, ChatTemplate | None]:
    """What handles text, once all is imported that runs beside it."""
    import undiced.serve.loop
    import undiced.serve.shared  # noqa: F401
    from undiced.text.template import load_chat_template
    from undiced.text.tokenizer import load_tokenizer

    return load_tokenizer(checkpoint, late=True), load_chat_template(checkpoint)
