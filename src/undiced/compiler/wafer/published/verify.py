"""What must hold of a published mapping's program before anyone times it."""

from __future__ import annotations

from itertools import combinations

from undiced.compiler.wafer.place import overlap
from undiced.core.errors import CompileError
from undiced.machine.region import Role, unpack
from undiced.machine.wafer import Wafer
from undiced.program import Program, Rect

_REMEDY = "Compile the program again."


def verify(program: Program, wafer: Wafer) -> None:
    """Regions lie apart on the mesh and streams exist; colors and memory are as published.

    Raises:
        CompileError: the first rule that is broken.
    """
    mesh = Rect(0, 0, *wafer.mesh.size)
    rects: dict[tuple[int, Rect], None] = {}
    for region in program.regions:
        r = region.rect
        if min(r.x, r.y, r.width - 1, r.height - 1) < 0 or r.x + r.width > mesh.width or r.y + r.height > mesh.height:
            raise CompileError(f"Region {region.name} leaves the mesh of {wafer.name}.", remedy=_REMEDY)
        if not 0 <= region.code < len(program.streams) or region.wafer < 0:
            raise CompileError(f"Region {region.name} runs no stream.", remedy=_REMEDY)
        params = unpack(region.params)
        if params.repeats < 1 or params.kv_rows < 1:
            raise CompileError(f"Region {region.name} never runs, or on no rows.", remedy=_REMEDY)
        rects[region.wafer, r] = None
    for (chip, a), (other, b) in combinations(rects, 2):
        if chip == other and overlap(a, b):
            raise CompileError(f"Two regions of wafer {chip} overlap at {a} and {b}.", remedy=_REMEDY)
    if not any(unpack(region.params).role is Role.LAYERS for region in program.regions):
        raise CompileError("The program has no layers.", remedy=_REMEDY)
