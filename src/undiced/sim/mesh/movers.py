"""What instructions do that move values between cores: reductions hop by hop, multicasts, hand-overs of regions; and
`Slice`, which undoes a multicast without a move.
"""

from __future__ import annotations

from math import prod

import numpy as np

from undiced.core.errors import ProgramFileError
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import Axis, Roots
from undiced.program.wafer.tree import Tree, roots
from undiced.program.wafer.value import DType
from undiced.sim.mesh.cores import Cores
from undiced.sim.mesh.lines import by_line, from_lines
from undiced.sim.mesh.rounding import F32, narrower
from undiced.sim.mesh.spreading import gather, spread
from undiced.sim.mesh.sums import join


def reduce(cores: Cores, i: isa.Reduce) -> None:
    """Join the terms of every line at its roots; every other core is left with nothing."""
    _, part, tree = cores.values.tree(i.result)
    shape = cores.shape(i.result)
    lines = by_line(cores, cores.read(i.a), i.line)
    slices = _slices(lines, part, tree, prod(shape))
    kept = cores.values[i.result].dtype
    held = cores.rounded(slices, kept, cores.values[i.a].dtype).reshape(-1, *slices.shape[2:])
    exact = cores.numbers == "fp32"
    dims = cores.values[i.result].dims
    lists = (dims[0].size, dims[-1].size) if i.operation == "top" else (0, 0)
    join(held, tree, i.operation, lists, None if exact else kept, None if exact else DType(i.wire))
    made = np.full((*lines.shape[:4], prod(shape)), np.nan, dtype=np.float32)
    held = held.reshape(slices.shape)
    for which, root in enumerate(_places(i.result, tree)):
        made[:, :, root] = held[:, :, root, which]
    array = from_lines(cores, made, i.line)
    cores.keep(i.result, array.reshape(*array.shape[:3], *shape), kept)


def _places(name: str, tree: Tree) -> tuple[int, ...]:
    """Where each slice ends; no core may take two."""
    places = roots(tree)
    if len(set(places)) < len(places):
        raise ProgramFileError(f"{name}: two of the {tree.slices} slices of its tree end at one core.")
    return places


def _slices(lines: F32, part: Roots, tree: Tree, share: int) -> F32:
    """[..., span, slices, tokens, share]: the part of each core's terms that goes to each root, its riders behind."""
    made = np.zeros((*lines.shape[:3], tree.slices, lines.shape[3], share), dtype=np.float32)
    length = lines.shape[-1] - part.riders
    step = share - part.riders
    for which in range(tree.slices):
        own = lines[..., :length] if part.whole else lines[..., :length][..., which * step : (which + 1) * step]
        made[..., which, :, : own.shape[-1]] = own
        if part.riders:
            made[..., which, :, step:] = lines[..., length:]
    return made


def multicast(cores: Cores, i: isa.Multicast) -> None:
    """From the roots (each its slice) or the owner to every core of the line."""
    lines = by_line(cores, cores.read(i.a), i.line)
    shape = cores.shape(i.result)
    if i.a in cores.owners:
        sent = np.stack([lines[:, :, who, token] for token, who in enumerate(cores.owners[i.a])], axis=2)
    else:
        sent = _from_roots(cores, i.a, lines, prod(shape))
    wire, held = DType(i.wire), cores.values[i.a].dtype
    array = from_lines(cores, cores.rounded(sent, wire, held)[:, :, None], i.line)
    cores.keep(i.result, array.reshape(*array.shape[:3], *shape).copy(), narrower(held, wire))


def _from_roots(cores: Cores, name: str, lines: F32, wanted: int) -> F32:
    """What roots hold, one slice after the other."""
    _, part, tree = cores.values.tree(cores.values.holder(name).name)
    places = _places(name, tree)
    if part.whole or lines.shape[-1] == wanted:
        return lines[:, :, places[0]]
    return np.concatenate([lines[:, :, root] for root in places], axis=-1)[..., :wanted]


def slice_(cores: Cores, i: isa.Slice) -> None:
    """Each root's own part of what its whole line holds."""
    axis, _, tree = cores.values.tree(i.result)
    a = cores.full(cores.per_token(i.a))
    flat = a.reshape(*a.shape[:3], -1)
    shape = cores.shape(i.result)
    share = prod(shape)
    made = np.full((*flat.shape[:3], share), np.nan, dtype=np.float32)
    for which, root in enumerate(_places(i.result, tree)):
        own = flat[..., which * share : (which + 1) * share]
        for at in range(root, cores.extent(axis) // tree.span * tree.span, tree.span):
            here = (at, slice(None)) if axis is Axis.ROWS else (slice(None), at)
            made[here][..., : own.shape[-1]] = own[here]
    cores.keep(i.result, made.reshape(*flat.shape[:3], *shape))


def arrive(cores: Cores, i: isa.Transfer) -> None:
    """What the region before holds, spread over this one."""
    if cores.before is None:
        raise ProgramFileError(f"{i.node}: the first region has no region before it.")
    held = cores.before.read(i.a)
    if held.shape[2] > cores.batch.size:  # of a chunk's last tokens alone
        held = held[:, :, cores.before.batch.ends]
    whole = gather(cores.before.values[i.a], held, lead=1)
    cores.keep(i.result, spread(cores.values[i.result], cores.rounded(whole, DType(i.wire)), cores.rows, cores.columns))


def return_(cores: Cores, i: isa.Return) -> None:
    """Nothing to compute: whoever drives the executor gives the token to the next step."""
    cores.read(i.a)


def rebind(cores: Cores, i: isa.Rebind | isa.Repaint) -> None:
    """Nothing to compute: arrays travel without queues and colors."""
