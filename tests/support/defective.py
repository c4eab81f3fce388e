"""Programs of tiny models on small wafers with defects."""

from functools import cache

from support.mesh_models import tiny

from undiced.compiler.wafer.lower.choices import EXACT
from undiced.compiler.wafer.search import compile_graph
from undiced.compiler.wafer.settle import settle
from undiced.compiler.wafer.task import Options
from undiced.machine import toy
from undiced.machine.defects import DefectMap
from undiced.program import Bounds
from undiced.program.wafer.individual import Cut

COLUMNS, ROWS = 8, 10
MACHINE = toy(COLUMNS, ROWS)
CORES = ((2, 0), (5, 1), (0, 4), (7, 7))
CUTS = (Cut(3, 2, "east"), Cut(1, 5, "south"), Cut(6, 8, "south-east"))
CONTEXT = 64


def defects(cores=CORES, cuts=CUTS, name="a map"):
    """A map of the machine."""
    return DefectMap(name, *MACHINE.built, tuple(sorted(cores)), tuple(sorted(cuts)))


@cache
def whole(name="llama", region=(COLUMNS, ROWS), batch=1):
    """A case's program on wafers without defects."""
    options = Options(Bounds(batch, CONTEXT), choices=EXACT, ahead=16, region=region)
    return compile_graph(tiny(name)[0], MACHINE, options)


def around(found=None, name="llama", region=(COLUMNS, ROWS), batch=1):
    """The same program around defects."""
    return settle(whole(name, region, batch), MACHINE, lambda number: found or defects())
