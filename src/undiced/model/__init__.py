"""What a model computes: configurations, the operator table, graphs, families, and a numpy interpreter. No hardware.

The table of published sizes and what needs numpy are loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from undiced.core.late import late
from undiced.model.config import MlaConfig, ModelConfig, MoeConfig, RopeConfig
from undiced.model.graph import Graph
from undiced.model.node import Load, Node
from undiced.model.ops import OPS
from undiced.model.registry import FAMILIES, build, build_config, config_from_json, config_of
from undiced.model.rope import rope_frequencies

if TYPE_CHECKING:
    from undiced.model.interpreter import run_batch as run_batch
    from undiced.model.interpreter import run_graph as run_graph
    from undiced.model.presets import PRESETS as PRESETS
    from undiced.model.presets import preset as preset
    from undiced.model.state import KvState as KvState
    from undiced.model.weights import load_weights as load_weights

__all__ = [
    "FAMILIES",
    "OPS",
    "PRESETS",
    "Graph",
    "KvState",
    "Load",
    "MlaConfig",
    "ModelConfig",
    "MoeConfig",
    "Node",
    "RopeConfig",
    "build",
    "build_config",
    "config_from_json",
    "config_of",
    "load_weights",
    "preset",
    "rope_frequencies",
    "run_batch",
    "run_graph",
]
__getattr__ = late(
    __name__,
    {
        **dict.fromkeys(("PRESETS", "preset"), "presets"),
        **dict.fromkeys(("run_batch", "run_graph"), "interpreter"),
        "KvState": "state",
        "load_weights": "weights",
    },
)
