"""Undiced: an open wafer-scale compiler, simulator and inference engine.

The public names are loaded on first use, so that `import undiced` costs milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from undiced import fabric as fabric
    from undiced.llm import LLM as LLM
    from undiced.machine import presets as presets
    from undiced.outputs import Completion as Completion
    from undiced.outputs import RequestOutput as RequestOutput
    from undiced.params import SamplingParams as SamplingParams
    from undiced.params import StructuredOutputsParams as StructuredOutputsParams
    from undiced.study.calls import compile as compile
    from undiced.study.calls import simulate as simulate
    from undiced.study.rows import to_csv as to_csv

__version__ = "0.1.0"
__all__ = [
    "LLM",
    "Completion",
    "RequestOutput",
    "SamplingParams",
    "StructuredOutputsParams",
    "__version__",
    "compile",
    "fabric",
    "presets",
    "simulate",
    "to_csv",
]

_MODULES = {"fabric": "undiced.fabric", "presets": "undiced.machine.presets"}
_HOMES = {
    "LLM": "undiced.llm",
    "Completion": "undiced.outputs",
    "RequestOutput": "undiced.outputs",
    "SamplingParams": "undiced.params",
    "StructuredOutputsParams": "undiced.params",
    "compile": "undiced.study.calls",
    "simulate": "undiced.study.calls",
    "to_csv": "undiced.study.rows",
}


def __getattr__(name: str) -> object:
    import importlib

    if name in _MODULES:
        return importlib.import_module(_MODULES[name])
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'undiced' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
