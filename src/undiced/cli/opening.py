"""Opens the model that a command asks, with a bar while it is fetched and packed, and has the options that say how.
Knows no question.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from undiced.cli.options import DEFAULT_MODEL, Draft, KvTypeName, MaxContext, Revision, Threads
from undiced.core.errors import ModelNotFoundError

if TYPE_CHECKING:
    from undiced.llm import LLM

_WORD = re.compile(r"[^\W\d_]+[?!.]?")  # models have digits, dots or dashes in their names


@dataclass(frozen=True, slots=True)
class Opening:
    """See the file's head."""

    threads: Threads = None
    max_context: MaxContext = None
    kv_type: KvTypeName = "f16"
    revision: Revision = None
    draft: Draft = None

    def opened(self, model: str, *, quiet: bool) -> LLM:
        """The model for one talk at a time; the caller closes it.

        Raises:
            UndicedError: it is unknown, damaged, not supported, or does not fit the bounds.
        """
        from undiced.checkpoint import at_revision
        from undiced.cli.terminal import loading
        from undiced.llm import LLM

        model = at_revision(model, self.revision)
        with loading(model, quiet=quiet) as bar:
            try:
                return LLM(
                    model,
                    threads=self.threads,
                    max_batch=1,
                    max_context=self.max_context,
                    kv_type=self.kv_type,
                    draft=self.draft,
                    progress=bar,
                )
            except ModelNotFoundError as error:
                if not _WORD.fullmatch(error.ref):
                    raise
                hint = f"A question of one word stands behind a model: {DEFAULT_MODEL} {error.ref}."
                raise ModelNotFoundError(error.message, remedy=f"{error.remedy} {hint}", ref=error.ref) from None
