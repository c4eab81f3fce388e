"""Model files: GGUF, safetensors folders, the packaged models of the catalog, the hub. Files, not meaning.

`open_checkpoint` is the door. `undiced.checkpoint.decode` turns tensors into numbers, `undiced.checkpoint.schemes` what
quantized folders hold into tensors; nothing else here needs numpy. What fetches models is loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from undiced.checkpoint.cache import cache_dir, is_cached
from undiced.checkpoint.catalog import CATALOG, DEFAULT_MODEL, PackagedModel
from undiced.checkpoint.contract import Checkpoint, bytes_by_format, kept_by_format
from undiced.checkpoint.gguf import GgufCheckpoint
from undiced.checkpoint.sampling import own_sampling
from undiced.checkpoint.source import open_checkpoint, resolve, to_fetch
from undiced.checkpoint.tensor import TensorInfo
from undiced.core.late import late

if TYPE_CHECKING:
    from undiced.checkpoint.fetch import pull as pull
    from undiced.checkpoint.hub_ref import at_revision as at_revision
    from undiced.checkpoint.huggingface import HfCheckpoint as HfCheckpoint

__all__ = [
    "CATALOG",
    "DEFAULT_MODEL",
    "Checkpoint",
    "GgufCheckpoint",
    "HfCheckpoint",
    "PackagedModel",
    "TensorInfo",
    "at_revision",
    "bytes_by_format",
    "cache_dir",
    "is_cached",
    "kept_by_format",
    "open_checkpoint",
    "own_sampling",
    "pull",
    "resolve",
    "to_fetch",
]
__getattr__ = late(__name__, {"HfCheckpoint": "huggingface", "at_revision": "hub_ref", "pull": "fetch"})
