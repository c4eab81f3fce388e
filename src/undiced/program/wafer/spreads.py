"""Spreads beside each other: whether operands of one instruction lie on the same cores. Knows no instruction.

Two spreads of an axis compare part by part; one that repeats everywhere fits any cut.
"""

from __future__ import annotations

from undiced.program.wafer.layout import Axis, Keeper, Owner, Part, Partial, Replicate, Roots, Shard, Spread

WORDS = {Axis.ROWS: "rows", Axis.COLUMNS: "columns"}


def aligned(*spreads: Spread) -> list[tuple[Part, ...]] | None:
    """Parts of all spreads side by side, the outermost first; None where they cut the axis differently."""
    cuts = [() if all(isinstance(part, Replicate) for part in spread) else spread for spread in spreads]
    ways = {tuple(part.ways for part in cut) for cut in cuts if cut}
    if len(ways) > 1:
        return None
    if not ways:
        return []
    repeated = tuple(Replicate(each) for each in ways.pop())
    return list(zip(*(cut or repeated for cut in cuts), strict=True))


def repeats(part: Part) -> bool:
    """Whether all cores of a part hold the same: also where one core shares."""
    return isinstance(part, Replicate) or (part.ways == 1 and isinstance(part, (Shard, Partial)))


def same(a: Part, b: Part) -> bool:
    """Whether two parts put the same on each core."""
    if isinstance(a, Roots) and isinstance(b, Roots):
        return (a.ways, a.tree) == (b.ways, b.tree)
    return a == b or (repeats(a) and repeats(b))


def local(part: Part) -> bool:
    """Whether some cores alone hold the value: roots, owners, or who has the experts."""
    return isinstance(part, (Roots, Owner, Keeper))


def kept(spread: Spread | None) -> bool:
    """Whether a core's share depends on which experts it has."""
    return any(isinstance(part, Keeper) for part in spread or ())


def words(spread: Spread | None) -> str:
    """A spread as programs are printed."""
    if spread is None:
        return "own"
    return ", ".join(map(_word, spread)) or "all"


def _word(part: Part) -> str:
    if isinstance(part, Shard):
        return f"{part.dim} {'cyclic ' * (part.order == 'cyclic')}x{part.ways}"
    if isinstance(part, Replicate):
        return f"all x{part.ways}"
    if isinstance(part, Partial):
        return f"{part.op} x{part.ways}"
    if isinstance(part, Owner):
        return f"owner of {part.index} x{part.ways}"
    if isinstance(part, Keeper):
        return f"who has {part.ids} by {part.share} x{part.ways}"
    extra = f" by {part.granule}" * (part.granule > 1) + f" + {part.riders}" * bool(part.riders)
    return f"roots of tree {part.tree} x{part.ways}{' whole' * part.whole}{extra}"
