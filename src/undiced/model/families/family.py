"""What a family file exports: one `Family` with its names, its two readers and its two naming tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from undiced.checkpoint import Checkpoint
from undiced.model.config import ModelConfig
from undiced.model.families.fields import Fields
from undiced.model.families.naming import Naming

IGNORED = (  # copies of a tied head, buffers that older tools saved, vision towers, layers that predict further tokens
    "lm_head.weight",
    "language_model.lm_head.weight",
    "*rotary_emb.inv_freq",
    "*.masked_bias",
    "mtp.*",
    "model.mtp.*",
    "model.mtp_layers.*",
    "vision_tower.*",
    "vision_model.*",
    "multi_modal_projector.*",
    "model.vision_tower.*",
    "model.vision_model.*",
    "model.multi_modal_projector.*",
)

PREFIXES = (
    ("model.", ""),
    ("language_model.model.", "language_model."),
    ("model.language_model.", ""),
    ("", ""),  # a model that was saved without its head
)


@dataclass(frozen=True, slots=True)
class Family:
    """One architecture.

    Attributes:
        name: short name, the key of configurations.
        gguf: values of `general.architecture` that mean it.
        hf: values of `model_type` and of `architectures` that mean it.
        read_gguf: configuration from the architecture's keys; also sees which tensors exist.
        read_hf: configuration from config.json (the text model's part of it).
        gguf_names, hf_names: tensors by role.
        prefixes: what may stand before tensors in HF folders, and before the head; the first that fits is taken.
        ignored: patterns of tensors that the text model does not use; {layers} is the number of layers.
    """

    name: str
    hf: tuple[str, ...]
    read_hf: Callable[[Fields], ModelConfig]
    hf_names: Naming
    gguf: tuple[str, ...] = ()
    read_gguf: Callable[[Fields, Checkpoint], ModelConfig] | None = None
    gguf_names: Naming = field(default_factory=dict)
    prefixes: tuple[tuple[str, str], ...] = PREFIXES
    ignored: tuple[str, ...] = IGNORED
