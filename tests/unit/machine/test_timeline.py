"""Streams in time: what doesn't depend on a mover hides under it, what does waits; nobody marks either."""

import pytest
from msgspec.structs import replace
from support.streams import line, shares, sliced_sum, value

from undiced.machine.cost import ZERO
from undiced.machine.fabric import rebinding
from undiced.machine.presets import wse3
from undiced.machine.timeline import Path, critical_path
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import Partial, Roots
from undiced.program.wafer.share import Shares
from undiced.program.wafer.value import DType, Kind, View

WAFER = wse3()
CLOCK = 1.0e9
SPAN, ELEMENTS, SLICES = 256, 24, 3
TREE, VALUES = sliced_sum(SPAN, ELEMENTS, SLICES)
SUM = isa.Reduce("sum", "sum", "sum.roots", "sum.terms", line(SPAN), "f32")
SEND = isa.Multicast("sum", "sum", "sum.roots", line(SPAN), "f32")
OTHER = isa.Scale("other", "multiply", "own", "own", 2.0)
ROOTS = isa.Scale("roots", "multiply", "sum.roots", "sum.roots", 2.0)


def local(*more: object) -> Shares:
    return shares(*VALUES, value("own", ("flat", 50)), *more, trees=(TREE,))  # type: ignore[arg-type]


def path(*instructions: isa.Instruction, of: Shares | None = None) -> Path:
    return critical_path(WAFER, instructions, of or local(), CLOCK)


def cycles(*instructions: isa.Instruction, of: Shares | None = None) -> float:
    return path(*instructions, of=of).cost.cycles


def test_local_work_hides_under_a_mover_that_it_does_not_depend_on() -> None:
    assert cycles(SUM, OTHER) == pytest.approx(cycles(SUM))
    assert cycles(SUM) > cycles(OTHER) > 0


def test_who_reads_what_a_mover_brings_waits_for_it() -> None:
    use = isa.Combine("use", "add", "use", "sum", "sum")
    of = local(value("use", ("flat", ELEMENTS)))
    assert cycles(SUM, SEND, use, of=of) == pytest.approx(cycles(SUM, SEND) + cycles(use, of=of))


def test_a_mover_waits_for_what_it_sends() -> None:
    make = isa.Scale("make", "multiply", "sum.terms", "sum.terms", 2.0)
    assert cycles(make, SUM) == pytest.approx(cycles(make) + cycles(SUM))


def test_a_mover_does_not_start_before_what_was_issued_before_it() -> None:
    assert cycles(OTHER, SUM) == pytest.approx(cycles(OTHER) + cycles(SUM))


def test_roots_work_side_by_side_on_slices_that_arrive_one_after_the_other() -> None:
    """Only the last slice's root is waited for."""
    assert cycles(SUM, ROOTS) == pytest.approx(cycles(SUM) + cycles(ROOTS))
    start, end = next((span.start, span.end) for span in path(SUM, ROOTS).spans if span.instruction is ROOTS)
    assert start < cycles(SUM) < end


def test_a_product_starts_with_the_first_slice_of_what_is_sent() -> None:
    first = value("first", ("hidden", ELEMENTS // SLICES), view=View("sum", 0))
    last = value("last", ("hidden", ELEMENTS // SLICES), view=View("sum", ELEMENTS - ELEMENTS // SLICES))
    w = value("w", ("hidden", ELEMENTS // SLICES), ("feature", 20), dtype=DType.F32, kind=Kind.WEIGHT)
    of = local(first, last, w, value("y", ("feature", 20)))
    starts = []
    for part in ("first", "last"):
        product = isa.Product("y", part, ("w",), ("y",), ("feature",))
        starts.append(path(SUM, SEND, product, of=of).spans[-1].start)
    assert starts[0] < starts[1] == pytest.approx(cycles(SUM, SEND))


def test_what_a_mover_still_sends_is_not_overwritten() -> None:
    again = isa.Scale("again", "multiply", "sum.terms", "own", 2.0)
    assert cycles(SUM, again) == pytest.approx(cycles(SUM) + cycles(again))


@pytest.mark.parametrize(("address", "waits"), [(-1, False), (400, False), (96, False), (48, True)])
def test_nor_is_what_lies_in_its_place(address: int, waits: bool) -> None:
    of = local()
    of.values = {
        **of.values,
        "sum.terms": replace(of.values["sum.terms"], address=0),
        "own": replace(of.values["own"], address=address),
    }
    found = path(SUM, OTHER, of=of).spans[-1]
    assert (found.start == pytest.approx(cycles(SUM))) == waits


def test_two_reductions_of_one_tree_follow_each_other() -> None:
    one, two = cycles(SUM), cycles(SUM, SUM)
    assert one < two < 2 * one


def test_a_critical_path_is_as_long_as_the_stream_and_names_nodes_and_kinds() -> None:
    found = path(OTHER, SUM, ROOTS, SEND)
    assert found.cost.cycles == pytest.approx(max(span.end for span in found.spans))
    assert set(found.shares) == {("other", "Scale"), ("sum", "Reduce"), ("roots", "Scale"), ("sum", "Multicast")}
    assert found.shares["sum", "Multicast"].hops > 0 and not found.shares["other", "Scale"].hops


def test_what_is_hidden_is_on_no_critical_path() -> None:
    assert ("other", "Scale") not in path(SUM, OTHER, SEND).shares


def test_a_hand_over_off_the_wafer_takes_its_latency_and_its_bytes() -> None:
    hidden = value("hidden", ("hidden", 4096))
    here = isa.Transfer("hidden", "hidden", "hidden", "f32", 40)
    away = isa.Transfer("hidden", "hidden", "hidden", "f32", 40, True)
    system = WAFER.system
    seconds = system.wafer_to_wafer_s.value + 4 * 4096 / system.io_bytes_per_s.value
    near, far = (path(i, of=shares(hidden)).cost for i in (here, away))
    assert far.io == pytest.approx(seconds * CLOCK) and not near.io
    assert near.hops == 40


def test_a_token_that_returns_is_waited_for() -> None:
    back = isa.Return("token", "own", 100, False)
    assert cycles(back) > 100


def test_no_instructions_take_no_time() -> None:
    assert path().cost == ZERO


def routed(mover: isa.Instruction, first: int, queue: int, count: int = 1) -> isa.Instruction:
    return replace(mover, route=isa.Route(first, count, queue, queue))  # type: ignore[call-arg]


def test_a_queue_takes_another_color_once_its_mover_is_through_and_takes_the_datapath() -> None:
    first, other = routed(SUM, 0, 2, 6), isa.Rebind("sum", 2, 0, 8)
    spans = path(first, other, OTHER).spans
    assert spans[1].start == spans[0].end
    assert spans[2].start == spans[1].end == spans[0].end + rebinding(WAFER).cycles
    beside = path(first, replace(other, queue=7), OTHER).spans
    assert beside[1].end < beside[0].end  # a queue that carries nothing waits for nobody


def test_movers_that_share_an_input_queue_follow_each_other() -> None:
    tree, _ = sliced_sum(SPAN, ELEMENTS, SLICES)
    terms = value("more.terms", ("flat", ELEMENTS), columns=(Partial("sum", SPAN),))
    both = shares(
        *VALUES, terms, value("more.roots", ("flat", ELEMENTS), columns=(Roots(SPAN, 1),)), trees=(TREE, tree)
    )
    more = isa.Reduce("more", "sum", "more.roots", "more.terms", line(SPAN), "f32")
    apart = path(routed(SUM, 0, 2, 6), routed(more, 6, 5, 6), of=both).spans
    shared = path(routed(SUM, 0, 2, 6), routed(more, 6, 2, 6), of=both).spans
    assert apart[1].start < apart[0].end
    assert shared[1].start == shared[0].end
