"""What a model computes: configurations, the operator table, graphs, families, and a numpy interpreter. No hardware.

The public names are loaded on first use: who runs a program that was kept needs no model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from undiced.core.late import late

if TYPE_CHECKING:
    from undiced.model.config import MlaConfig as MlaConfig
    from undiced.model.config import ModelConfig as ModelConfig
    from undiced.model.config import MoeConfig as MoeConfig
    from undiced.model.config import RopeConfig as RopeConfig
    from undiced.model.graph import Graph as Graph
    from undiced.model.interpreter import run_batch as run_batch
    from undiced.model.interpreter import run_graph as run_graph
    from undiced.model.node import Load as Load
    from undiced.model.node import Node as Node
    from undiced.model.ops import OPS as OPS
    from undiced.model.presets import PRESETS as PRESETS
    from undiced.model.presets import preset as preset
    from undiced.model.registry import FAMILIES as FAMILIES
    from undiced.model.registry import build as build
    from undiced.model.registry import build_config as build_config
    from undiced.model.registry import config_from_json as config_from_json
    from undiced.model.registry import config_of as config_of
    from undiced.model.rope import rope_frequencies as rope_frequencies
    from undiced.model.state import KvState as KvState
    from undiced.model.weights import load_weights as load_weights

_HOMES = {
    **dict.fromkeys(("MlaConfig", "ModelConfig", "MoeConfig", "RopeConfig"), "config"),
    "Graph": "graph",
    **dict.fromkeys(("run_batch", "run_graph"), "interpreter"),
    **dict.fromkeys(("Load", "Node"), "node"),
    "OPS": "ops",
    **dict.fromkeys(("PRESETS", "preset"), "presets"),
    **dict.fromkeys(("FAMILIES", "build", "build_config", "config_from_json", "config_of"), "registry"),
    "rope_frequencies": "rope",
    "KvState": "state",
    "load_weights": "weights",
}
__all__ = sorted(_HOMES)
__getattr__ = late(__name__, _HOMES)
