"""Opens the model that a command asks, with a bar while it is fetched and packed. Knows no question."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from undiced.llm import LLM


def opened(model: str, revision: str | None, threads: int | None, max_context: int | None, *, quiet: bool) -> LLM:
    """The model for one talk at a time; the caller closes it.

    Raises:
        UndicedError: it is unknown, damaged, not supported, or does not fit the bounds.
    """
    from undiced.checkpoint import at_revision
    from undiced.cli.terminal import loading
    from undiced.llm import LLM

    model = at_revision(model, revision)
    with loading(model, quiet=quiet) as bar:
        return LLM(model, threads=threads, max_batch=1, max_context=max_context, progress=bar)
