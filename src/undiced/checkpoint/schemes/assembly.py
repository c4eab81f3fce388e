"""What a method makes of a folder: tensors with a recipe each, the names they are made of, and what is left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from undiced.checkpoint.tensor import TensorInfo

Recipe = Callable[[], NDArray[np.uint8]]


@dataclass(slots=True)
class Assembly:
    """Filled module by module.

    Attributes:
        tensors: by name; a recipe makes a tensor's bytes in its format; it raises CheckpointError where parts disagree.
        taken: names of the file that they are made of, or that are known and left out.
        notes: what is done differently here than the method means it, in whole sentences.
    """

    tensors: dict[str, tuple[TensorInfo, Recipe]] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)

    def add(self, info: TensorInfo, recipe: Recipe, *parts: str) -> None:
        """A tensor that is made of these parts."""
        self.tensors[info.name] = (info, recipe)
        self.taken.update(parts)

    def note(self, sentence: str) -> None:
        """Said once."""
        if sentence not in self.notes:
            self.notes.append(sentence)
