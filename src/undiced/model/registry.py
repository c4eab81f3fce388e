"""From a checkpoint or a configuration to a graph: finds the family by name and lets it read.

The registry is a dict by family, found by GGUF's `general.architecture` or config.json's `architectures`, `model_type`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import replace

from undiced.checkpoint import Checkpoint
from undiced.core.errors import CheckpointError, UnsupportedError
from undiced.model import families
from undiced.model.binding import CheckpointBinder, NoBinder, has_own_head
from undiced.model.config import ModelConfig
from undiced.model.decoder import assemble
from undiced.model.families.family import Family
from undiced.model.families.fields import Fields
from undiced.model.graph import Graph


def _families() -> dict[str, Family]:
    """Every file of the families package that exports FAMILY."""
    files = [f"{families.__name__}.{module.name}" for module in pkgutil.iter_modules(families.__path__)]
    modules = [importlib.import_module(file) for file in files]
    found = [module.FAMILY for module in modules if hasattr(module, "FAMILY")]
    return {family.name: family for family in found}


FAMILIES: dict[str, Family] = _families()
BY_GGUF: dict[str, Family] = {name: family for family in FAMILIES.values() for name in family.gguf}
BY_HF: dict[str, Family] = {name: family for family in FAMILIES.values() for name in family.hf}


def build(checkpoint: Checkpoint) -> Graph:
    """The verified graph of a checkpoint, every slot bound to its tensors.

    Raises UnsupportedError for an architecture that is not known, CheckpointError for damaged or contradictory files.
    """
    config, family = _read(checkpoint)
    return assemble(config, CheckpointBinder(config, family, checkpoint))


def build_config(config: ModelConfig, weights: str = "BF16") -> Graph:
    """The verified graph of a configuration: matrices in the format `weights`, slots without sources."""
    return assemble(config, NoBinder(weights))


def config_of(checkpoint: Checkpoint) -> ModelConfig:
    """A checkpoint's configuration; raises as `build` does."""
    return _read(checkpoint)[0]


def config_from_json(data: Mapping[str, object], name: str) -> ModelConfig:
    """The configuration that a parsed config.json describes; no weights needed."""
    return described(data, name)[0]


def described(data: Mapping[str, object], name: str) -> tuple[ModelConfig, dict[str, object]]:
    """The configuration of a parsed config.json, and the sizes in it that are the family's defaults: not stated."""
    fields = _text_fields(data, name)
    config = _hf_family(data, name).read_hf(fields)
    return replace(config, name=name), fields.assumed


def _read(checkpoint: Checkpoint) -> tuple[ModelConfig, Family]:
    if checkpoint.kind == "hf":
        known = _hf_family(checkpoint.metadata, checkpoint.name)
        config = config_from_json(checkpoint.metadata, checkpoint.name)
        return _with_its_head(config, known, checkpoint), known
    architecture = Fields(checkpoint.metadata, checkpoint.name).text("general.architecture")
    family = BY_GGUF.get(architecture)
    if family is None or family.read_gguf is None:
        raise _unknown(checkpoint.name, architecture, BY_GGUF)
    return family.read_gguf(Fields(checkpoint.metadata, checkpoint.name, f"{architecture}."), checkpoint), family


def _with_its_head(config: ModelConfig, family: Family, checkpoint: Checkpoint) -> ModelConfig:
    if not config.tied or not has_own_head(family, checkpoint):
        return config
    import logging

    logging.getLogger("undiced.model").warning(
        "%s: tie_word_embeddings is true, but the head differs from the embedding; the head is used.", config.name
    )
    return replace(config, tied=False)


def _hf_family(data: Mapping[str, object], name: str) -> Family:
    names = _hf_names(Fields(data, name))
    for candidate in names:
        if candidate in BY_HF:
            return BY_HF[candidate]
    if not names:
        raise CheckpointError(
            f"{name}: the configuration has neither model_type nor architectures.",
            remedy="Fetch config.json again; it is not a model's.",
        )
    raise _unknown(name, names[0], {known: family for known, family in BY_HF.items() if known.islower()})


def _hf_names(fields: Fields) -> list[str]:
    """What a configuration says that it is, best first; the text part's own type alone where it has one."""
    inner = fields.inner("text_config")
    if inner is not None and "model_type" in inner:
        return [inner.text("model_type")]
    listed = fields.value("architectures")
    if listed is not None and not (isinstance(listed, list) and all(isinstance(name, str) for name in listed)):
        raise fields.fail("architectures", "is something else, expected a list of strings")
    return [*(listed or ()), *([fields.text("model_type")] if "model_type" in fields else ())]


def _text_fields(data: Mapping[str, object], name: str) -> Fields:
    """The text model's part of a configuration that may describe more; ties may be stated outside."""
    inner = data.get("text_config")
    if not isinstance(inner, Mapping):
        return Fields(data, name)
    tie = "tie_word_embeddings"
    outer = {tie: data[tie]} if tie in data else {}
    return Fields({**outer, **inner}, f"{name}: text_config")


def _unknown(name: str, architecture: str, known: Mapping[str, Family]) -> UnsupportedError:
    return UnsupportedError(
        f"{name}: the architecture {architecture[:80]!r} is not supported.",
        remedy=f"Supported: {', '.join(sorted(known))}.",
    )
