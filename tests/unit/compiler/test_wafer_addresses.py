"""Memory of a core: what still travels is not overwritten."""

from support.streams import line, sliced_sum, value

from undiced.compiler.wafer.addresses import shares_of
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.lifetimes import lifetimes
from undiced.program.wafer.program import Stream

TREE, VALUES = sliced_sum(64, 12, 2)
SUM = isa.Reduce("n", "sum", "sum.roots", "sum.terms", line(64), "f32")
SEND = isa.Multicast("n", "sum", "sum.roots", line(64), "f32")
OTHER = isa.Scale("n", "multiply", "own", "own", 2.0)
USE = isa.Combine("n", "add", "own", "own", "sum")


def lives(*instructions: isa.Instruction) -> dict[str, tuple[int, int]]:
    stream = Stream("s", (*VALUES, value("own", ("flat", 12))), instructions)
    return lifetimes(stream, shares_of(stream, (TREE,)).stored)


def test_what_a_mover_sends_lives_until_what_it_brings_is_read() -> None:
    found = lives(SUM, OTHER, SEND, OTHER, USE)
    assert found["sum.terms"] == (0, 2)
    assert found["sum.roots"] == (0, 4)


def test_what_nobody_waits_for_lives_to_the_end() -> None:
    assert lives(OTHER, SUM, OTHER)["sum.terms"] == (1, 3)
