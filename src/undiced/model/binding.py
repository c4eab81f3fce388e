"""Where a graph's weight slots come from: a checkpoint's tensors by a family's naming, or nowhere (a configuration).

Checks every tensor's existence and shape before any of its bytes is read, and that no tensor of the model is left over.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Protocol

from undiced.checkpoint import Checkpoint, TensorInfo
from undiced.core.errors import CheckpointError, UnsupportedError
from undiced.core.formats import FORMATS
from undiced.core.manifest import Source, Transform, WeightSlot
from undiced.model.config import ModelConfig
from undiced.model.families.family import Family
from undiced.model.families.naming import Name, Prefix, name_of

_COMPARED_BYTES = 1 << 20
_HEAD_REMEDY = (
    "If the head is to be the embedding, set tie_word_embeddings to true in config.json; else fetch the model again."
)
_REMEDY = "The file does not hold the model that its configuration describes; fetch or convert it again."


def has_own_head(family: Family, checkpoint: Checkpoint) -> bool:
    """Whether a folder brings a head that is not its embedding, whatever its configuration says about ties.

    As transformers since version 5 takes it: a flag ties what is equal or absent, and no weights are thrown away.
    """
    names = [name_of(family.hf_names, role) for role in ("embed", "lm_head")]
    prefix = find_prefix(family, checkpoint)
    embed, head = (
        None if n is None else checkpoint.tensors.get(n.tensor.format(p=prefix[0], h=prefix[1])) for n in names
    )
    if embed is None or head is None:
        return False
    if (embed.shape, embed.format) != (head.shape, head.format):
        return True
    ours, theirs = checkpoint.raw(embed.name), checkpoint.raw(head.name)
    starts = range(0, embed.nbytes, _COMPARED_BYTES)
    return any(bytes(ours[at : at + _COMPARED_BYTES]) != bytes(theirs[at : at + _COMPARED_BYTES]) for at in starts)


def find_prefix(family: Family, checkpoint: Checkpoint) -> Prefix:
    """What stands before the names of a folder's tensors, and before its head; of those that fit, one with a head."""
    name = name_of(family.hf_names, "embed")
    assert name is not None, "every family names its embedding"
    fitting = [prefix for prefix in family.prefixes if name.tensor.format(p=prefix[0]) in checkpoint.tensors]
    head = name_of(family.hf_names, "lm_head")
    for prefix in fitting:
        if head is not None and head.tensor.format(p=prefix[0], h=prefix[1]) in checkpoint.tensors:
            return prefix
    return fitting[0] if fitting else family.prefixes[0]


class Binder(Protocol):
    """Gives a slot its format and sources."""

    def bind(self, slot: str, role: str, layer: int, shape: tuple[int, int], experts: int) -> WeightSlot:
        """A slot of `shape` (rows, columns) for a role in a layer; vectors have one row."""

    def finish(self) -> None:
        """Called once when all slots are bound."""


class NoBinder:
    """For graphs made from a configuration: every matrix in one format, no sources."""

    def __init__(self, weights: str) -> None:
        if weights not in FORMATS:
            raise UnsupportedError(f"Weight format {weights!r} is unknown.", remedy=f"Known: {', '.join(FORMATS)}.")
        self._format = weights

    def bind(self, slot: str, role: str, layer: int, shape: tuple[int, int], experts: int) -> WeightSlot:
        """See `Binder.bind`."""
        rows, columns = shape
        return WeightSlot(slot, rows, columns, self._format if rows > 1 else "F32", (), experts if rows > 1 else 1)

    def finish(self) -> None:
        """Nothing to check."""


class CheckpointBinder:
    """For graphs made from a checkpoint, by the naming of its family."""

    def __init__(self, config: ModelConfig, family: Family, checkpoint: Checkpoint) -> None:
        self._config, self._family, self._checkpoint = config, family, checkpoint
        gguf = checkpoint.kind == "gguf"
        self._naming = family.gguf_names if gguf else family.hf_names
        self._prefix = ("", "") if gguf else find_prefix(family, checkpoint)
        self._used: set[str] = set()

    def bind(self, slot: str, role: str, layer: int, shape: tuple[int, int], experts: int) -> WeightSlot:
        """See `Binder.bind`. Raises CheckpointError for missing or mis-shaped tensors."""
        name = name_of(self._naming, role)
        if name is None:
            raise UnsupportedError(
                f"{self._family.name} checkpoints of this kind have no weight for {role!r}.",
                remedy="The configuration asks for one, as by attention_bias; if it is right, use another model.",
            )
        name = self._stored(name, layer)
        sources = name.sources(self._config, self._prefix, layer)
        infos = [self._checked(source, name, shape, experts, len(sources)) for source in sources]
        rows, columns = shape
        form = _format(infos) if rows > 1 else "F32"
        if name.dequantized and FORMATS[form].group:
            form = "F32"
        for source in sources:
            _check_transforms(source, form)
        return WeightSlot(slot, rows, columns, form, sources, experts if rows > 1 else 1)

    def finish(self) -> None:
        """Raises UnsupportedError when a tensor of the model was not used: it would change results silently."""
        idle = [pattern.format(layers=self._config.layers) for pattern in self._family.ignored]
        for tensor in self._checkpoint.tensors:
            if tensor not in self._used and not any(fnmatchcase(tensor, pattern) for pattern in idle):
                raise UnsupportedError(
                    f"{self._checkpoint.name}: tensor {tensor} does not belong to the {self._family.name} family.",
                    remedy="It is a variant of the architecture; use the model without it.",
                )

    def _stored(self, name: Name, layer: int) -> Name:
        """The entry, or the other one where the checkpoint has that one's tensor."""
        other = name.otherwise
        if other is None:
            return name
        there = other.sources(self._config, self._prefix, layer)[0].tensor in self._checkpoint.tensors
        return other if there else name

    def _checked(self, source: Source, name: Name, shape: tuple[int, int], experts: int, parts: int) -> TensorInfo:
        info = self._checkpoint.tensors.get(source.tensor)
        accepted = _accepted_shapes(source.transforms, name, self._config, shape, (experts, parts))
        if info is None:
            if dtype := self._checkpoint.unread.get(source.tensor):
                raise UnsupportedError(
                    f"{self._checkpoint.name}: tensor {source.tensor} has the dtype {dtype}, and is no weight alone.",
                    remedy="Its config.json states no quantization; use the model as it was published, or a GGUF file.",
                )
            wanted = _shape_text(accepted[0])
            raise CheckpointError(
                f"{self._checkpoint.name}: tensor {source.tensor} is missing, expected {wanted}.",
                remedy=_HEAD_REMEDY if source.tensor.endswith("lm_head.weight") else _REMEDY,
            )
        if info.shape not in accepted:
            raise CheckpointError(
                f"{self._checkpoint.name}: tensor {source.tensor} has shape {_shape_text(info.shape)}, "
                f"expected {_shape_text(accepted[0])}.",
                remedy=_REMEDY,
            )
        self._used.add(source.tensor)
        return info


def _accepted_shapes(
    steps: tuple[Transform, ...],
    name: Name,
    config: ModelConfig,
    shape: tuple[int, int],
    stacking: tuple[int, int],
) -> list[tuple[int, ...]]:
    """Shapes that a tensor may have in the file; the first is the one to tell."""
    if name.shape is not None:
        return [name.shape(config)]
    experts, parts = stacking
    rows, columns = shape
    if rows == 1:
        whole = columns // parts
        return [(whole,)] if experts == 1 or parts > 1 else [(experts, whole // experts), (whole,)]
    rows //= parts
    for step in reversed(steps):
        if step.kind == "transpose":
            rows, columns = columns, rows
    if experts > 1 and parts == 1:
        return [(experts, rows // experts, columns), (rows, columns)]
    return [(rows, columns)]


def _format(infos: list[TensorInfo]) -> str:
    forms = {info.format for info in infos}
    if len(forms) > 1:
        raise UnsupportedError(
            f"Tensors {infos[0].name} and {infos[-1].name} belong together but have different formats.",
            remedy="Convert the model with one format for all experts of a layer.",
        )
    return infos[0].format


def _check_transforms(source: Source, form: str) -> None:
    if FORMATS[form].group and any(step.kind in ("transpose", "add_one") for step in source.transforms):
        raise UnsupportedError(
            f"Tensor {source.tensor} is stored as {form}, which cannot be transposed without requantizing.",
            remedy="Use a checkpoint with dense weights (F32, F16 or BF16).",
        )


def _shape_text(shape: tuple[int, ...]) -> str:
    return "(" + ", ".join(map(str, shape)) + ")"
