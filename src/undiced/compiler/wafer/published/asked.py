"""What a published mapping's program is for: a graph, a machine, a region with its two-trees."""

from __future__ import annotations

from dataclasses import dataclass

from undiced.compiler.wafer.lower.choices import Choices
from undiced.compiler.wafer.lower.grid import Grid
from undiced.compiler.wafer.lower.segments import Streams
from undiced.compiler.wafer.lower.writer import Trees
from undiced.compiler.wafer.published.assemble import (
    two_tree,
)
from undiced.compiler.wafer.published.layer import Style, lowerings
from undiced.core.errors import CompileError
from undiced.core.option import option
from undiced.machine.wafer import Wafer
from undiced.model import Graph, ModelConfig
from undiced.program import Bounds
from undiced.program.wafer.instruction import Line
from undiced.program.wafer.layout import Axis
from undiced.program.wafer.tree import Level, Tree

BAND_WIDTH = 128  # columns of the bands of embedding and head, where the mesh has room for them
AS_PUBLISHED = Choices(whole_bands=True)


def check_dense(config: ModelConfig) -> None:
    """See that published mappings are for models of that kind.

    Raises:
        CompileError: it has experts, or latent attention.
    """
    if config.moe or config.mla:
        raise CompileError(
            f"Published mappings have no experts and no latent attention; {config.name} has.",
            remedy=f"Use {option('mapping', 'undiced')}.",
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """What a program is for.

    Attributes:
        groups: of the two-trees; a side shorter than that has one core a group.
        ahead: tokens of one sequence that an emulator's step may have.

    Raises:
        CompileError: a model of another kind than published mappings are for.
    """

    graph: Graph
    wafer: Wafer
    width: int
    height: int
    groups: int
    bounds: Bounds
    ahead: int = 1

    def __post_init__(self) -> None:
        check_dense(self.graph.config)

    @property
    def grid(self) -> Grid:
        """Hidden state and positions over y, heads and feed-forward columns over x."""
        return Grid(self.height, self.width)

    def streams(
        self, style: Style, grid: Grid, choices: Choices = AS_PUBLISHED, beside: Streams | None = None
    ) -> Streams:
        """A writer of streams for a grid; `beside` another, with which it shares all that is written."""
        trees, made = (beside.trees, beside.made) if beside else (Trees(), [])
        table = lowerings(style)
        return Streams(self.graph, grid, choices, self.bounds.context, 1, self.ahead, 0, trees, made, lowerings=table)

    def tree(self, line: Line) -> Tree:
        """A two-tree over whole lines, one chain inside a band."""
        heads = min(self.graph.config.kv_heads, self.width)
        sides = {self.width, *({BAND_WIDTH} - {self.width // heads})}  # of a region, and of the band of the head
        whole = line.span in sides if line.axis is Axis.COLUMNS else line.span == self.height
        groups = min(self.groups, line.span)
        while whole and line.span % groups:
            groups -= 1
        return two_tree(line.span, groups) if whole else Tree(line.span, (Level(line.span),))

    def trees(self, lines: Trees) -> tuple[Tree, ...]:
        """Those of all lines, by number."""
        return tuple(self.tree(line) for line, _ in lines.found)
