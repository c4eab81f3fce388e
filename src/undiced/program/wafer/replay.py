"""Replay: what the cores of a published engine do with a piece of a prompt, part by part. It is timed and not executed:
its programs are not here.
"""

from __future__ import annotations

from dataclasses import dataclass

from undiced.program.wafer.tree import Tree
from undiced.program.wafer.work import Work


@dataclass(frozen=True, slots=True)
class Joined:
    """A collective that all cores wait for: `size_bytes` over lines of a tree, and sent to all of them if `shared`."""

    tree: Tree
    size_bytes: int
    shared: bool = True


@dataclass(frozen=True, slots=True)
class Part:
    """What a core does one after the other: local operations and rings, then collectives; `times` over."""

    name: str
    works: tuple[Work, ...] = ()
    sums: tuple[Joined, ...] = ()
    times: int = 1


@dataclass(frozen=True, slots=True)
class Replay:
    """A prompt that goes through a pipeline of regions in chunks.

    Attributes:
        wafers: that hold its regions. side: cores of a region's sides. stages: layers of each region.
        chunk: tokens; before: chunks whose keys and values are there; chunks: those that follow.
        layer: what a layer does once a chunk. attended: what it does for each chunk that is attended to.
        entering: bytes that a row of a region hands to the next one.
        data_bytes, code_bytes: of the fullest core, as far as they are known.
    """

    model: str
    wafers: int
    side: int
    stages: tuple[int, ...]
    chunk: int
    before: int
    chunks: int
    layer: tuple[Part, ...]
    attended: tuple[Part, ...]
    entering: int
    data_bytes: int
    code_bytes: int
