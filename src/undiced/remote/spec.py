"""EngineSpec: all that an engine process is told at its start, as one value that travels as JSON.

Data and its encoding; a new option of a backend or of the policy stands in its own class and nowhere else.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from undiced.core.errors import UndicedError
from undiced.engine.load import BackendOptions
from undiced.remote.frames import Failure
from undiced.serve.policy import Policy


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """What an engine process runs.

    Attributes:
        options: what the backend is made of. policy: the scheduler's settings.
        backend: the factory, as `module:function`, called with (options, progress).
        draft: what the backend of a draft model is made of, or None; draft_backend: its factory, called with (options,
            progress, backend of the model that it guesses for).
        grammars: what makes grammars over the model's vocabulary, as `module:function`, called with (options, rows of
            logits) when it is needed.
        model: the model's name as clients know it; it stands in for paths wherever clients can read.
    """

    options: BackendOptions = field(default_factory=BackendOptions)
    policy: Policy = field(default_factory=Policy)
    backend: str = "undiced.engine.load:open_host"
    grammars: str = "undiced.grammars:open_grammars"
    model: str = "the model"
    draft: BackendOptions | None = None
    draft_backend: str = "undiced.engine.load:open_draft"


def encode_spec(spec: EngineSpec) -> bytes:
    """The spec as JSON. Pure ASCII: a path may hold bytes that are not UTF-8, as lone surrogates."""
    return json.dumps(msgspec.to_builtins(spec)).encode("ascii")


def decode_spec(text: bytes) -> EngineSpec:
    """The spec again.

    Raises:
        ValueError: it is not one.
    """
    return msgspec.convert(json.loads(text), EngineSpec)


_PATH = re.compile(r"(?<![\w.:/~-])~?/(?:[^\s/'\",;:]+/)*([^\s/'\",;:]+)/?")


def without_paths(error: UndicedError, spec: EngineSpec) -> UndicedError:
    """The error as clients may see it: the model's name for the model's path, and of any other path its last part."""
    failure = Failure.of(error)
    failure.message, failure.remedy = (_without_paths(text, spec) for text in (failure.message, failure.remedy))
    return failure.error()


def _without_paths(text: str, spec: EngineSpec) -> str:
    for options, name in ((spec.options, spec.model), (spec.draft, "the draft model")):
        given = Path("" if options is None else options.checkpoint)
        if given.is_absolute():
            text = text.replace(str(given), name).replace(f"{given.parent}/", "")
    return _PATH.sub(r"\1", text)
