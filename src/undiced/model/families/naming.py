"""How a family's tables say which tensors make a weight slot. Data and the rules to expand it; reads no file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from undiced.core.manifest import Source, Transform
from undiced.model.config import ModelConfig

Steps = Callable[[ModelConfig, int], tuple[Transform, ...]]
Prefix = tuple[str, str]  # before tensors of the model, and before its head
Shape = Callable[[ModelConfig], tuple[int, ...]]

TRANSPOSE = Transform("transpose")
ADD_ONE = Transform("add_one")


@dataclass(frozen=True, slots=True)
class Name:
    """A role's tensor.

    Attributes:
        tensor: template: {p} and {h} are the checkpoint's prefixes, {i} the layer, {e} an expert (one source each).
        steps: transforms, from the configuration and the number of the expert or part.
        shape: the tensor's shape in the file, where the steps take only a part of it.
        each_expert: one source an expert, all of one tensor.
        parts: how many sources there are, all of one tensor, where it is not one (or one an expert).
        dequantized: what is quantized becomes floats, exactly, where the steps need floats.
        otherwise: the entry for checkpoints that have its tensor and not this one.
    """

    tensor: str
    steps: Steps | None = None
    shape: Shape | None = None
    each_expert: bool = False
    parts: Callable[[ModelConfig], int] | None = None
    dequantized: bool = False
    otherwise: Name | None = None

    def sources(self, config: ModelConfig, prefix: Prefix, layer: int) -> tuple[Source, ...]:
        """The sources of the slot in a layer, in order."""
        stacked = self.each_expert or "{e}" in self.tensor
        count = config.moe.experts if stacked and config.moe is not None else 1
        count = count if self.parts is None else self.parts(config)
        return tuple(self._source(config, prefix, layer, e) for e in range(count))

    def _source(self, config: ModelConfig, prefix: Prefix, layer: int, expert: int) -> Source:
        tensor = self.tensor.format(p=prefix[0], h=prefix[1], i=layer, e=expert)
        return Source(tensor, self.steps(config, expert) if self.steps is not None else ())


Naming = Mapping[str, str | Name]


def always(*steps: Transform) -> Steps:
    """The same steps for every configuration and expert."""
    return lambda config, expert: steps


def name_of(naming: Naming, role: str) -> Name | None:
    """A role's entry, or None when the family has no such weight."""
    entry = naming.get(role)
    return Name(entry) if isinstance(entry, str) else entry
