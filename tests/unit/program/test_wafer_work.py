"""The work of wafer instructions follows from their operands."""

from typing import get_args, get_type_hints

import pytest
from msgspec.structs import replace
from support.streams import line, shares, sliced_sum, value

from undiced.core.errors import CompileError
from undiced.machine import wse3
from undiced.machine.arithmetic import vector_cost
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import Axis, Owner, Partial, Roots, Shard
from undiced.program.wafer.operands import READ, WRITTEN
from undiced.program.wafer.sequences import SEQUENCES
from undiced.program.wafer.step import Step
from undiced.program.wafer.value import DType, Kind, Value, View
from undiced.program.wafer.work import Vectors
from undiced.program.wafer.workload import WORK, work

F16, F32 = DType.F16, DType.F32


def test_every_instruction_has_its_work() -> None:
    assert set(WORK) == set(get_args(isa.Instruction))


def test_every_field_that_names_a_value_is_read_or_written() -> None:
    plain = {"node", "operation", "function", "dim", "index", "wire", "inner", "query", "key", "slot"}
    for kind in get_args(isa.Instruction):
        texts = {name for name, hint in get_type_hints(kind).items() if hint is str or hint == tuple[str, ...]}
        assert texts - plain <= READ | WRITTEN, kind


def _matrix(inputs: int, outputs: int, dtype: DType = F16) -> tuple[Value, Value, Value]:
    x = value("x", ("hidden", inputs), dtype=F16)
    w = value("w", ("hidden", inputs), ("feature", outputs), dtype=dtype, kind=Kind.WEIGHT)
    return x, w, value("y", ("feature", outputs), dtype=F16)


def test_a_product_takes_one_operation_an_input() -> None:
    [v] = work(isa.Product("n", "x", ("w",), ("y",), ("feature",)), shares(*_matrix(14, 48))).vectors
    assert (v.arithmetic, v.length, v.count, v.sums, v.read) == ("multiply_add", 48, 14, 14, 2)


def test_sequences_repeat_local_operations_along_tokens_and_both_multiply_payloads() -> None:
    product, step = isa.Product("n", "x", ("w",), ("y",), ("feature",)), Step(sequences=2, context=64)
    [v] = work(product, shares(*_matrix(14, 48), step=step)).vectors
    assert (v.length, v.count, v.loops, v.sums) == (48, 2 * 14, 2, 14)
    step = Step(sequences=2, tokens=3, context=64)
    [v] = work(product, shares(*_matrix(14, 48), step=step)).vectors
    assert (v.length, v.count, v.loops, v.sums) == (3, 2 * 14 * 48, 2 * 48, 14), "an operation a weight"
    tree, values = sliced_sum(32, 12, 3)
    haul = work(
        isa.Reduce("n", "sum", "sum.roots", "sum.terms", line(32), "f16"), shares(*values, trees=(tree,), step=step)
    ).haul
    assert haul is not None and haul.pieces == (6 * 4 * 2,) * 3


def test_tokens_of_a_chunk_may_be_multiplied_one_by_one() -> None:
    product = isa.Product("n", "x", ("w",), ("y",), ("feature",), singly=True)
    [v, moved] = work(product, shares(*_matrix(14, 48), step=Step(tokens=3, context=64))).vectors
    assert (v.length, v.count, v.loops, v.sums) == (48, 3 * 14, 3, 14)
    assert (moved.arithmetic, moved.length, moved.count, moved.stride) == ("move", 48, 3, 3), "between the others'"


def test_shares_are_those_of_the_fullest_core() -> None:
    x, w, y = _matrix(100, 48)
    over = (Shard("hidden", 8),)
    s = shares(replace(x, rows=over), replace(w, rows=over), y)
    [v] = work(isa.Product("n", "x", ("w",), ("y",), ("feature",)), s).vectors
    assert v.count == 13


def test_tiles_side_by_side_are_one_operation_an_input() -> None:
    both = value("both", ("flat", 24), dtype=F16)
    x = value("x", ("hidden", 5), dtype=F16)
    weights = [value(f"w{n}", ("hidden", 5), (f"f{n}", 12), dtype=F16, kind=Kind.WEIGHT) for n in range(2)]
    product = isa.Product("n", "x", ("w0", "w1"), ("y0", "y1"), ("f0", "f1"))

    def counts(views: list[View]) -> list[tuple[int, int]]:
        ys = [value(f"y{n}", (f"f{n}", 12), dtype=F16, view=view) for n, view in enumerate(views)]
        return [(v.length, v.count) for v in work(product, shares(both, x, *weights, *ys)).vectors]

    assert counts([View("both", 0), View("both", 12)]) == [(24, 5)]
    assert counts([View("both", 0, 2, 0), View("both", 0, 2, 1)]) == [(24, 5)]
    assert counts([View("both", 12), View("both", 0)]) == [(12, 5), (12, 5)]


def test_no_vector_operation_multiplies_two_vectors() -> None:
    with pytest.raises(CompileError, match="no vector operation"):
        work(isa.Product("n", "x", ("w",), ("y",), ("hidden",)), shares(*_matrix(14, 48)))


def test_scores_run_along_positions_and_follow_the_context() -> None:
    q = value("q", ("kv", 1), ("group", 8), ("pair", 1), ("turn", 2), dtype=F16)
    keys = value("keys", ("kv", 1), ("pair", 1), ("turn", 2), ("position", 4096), dtype=F16, kind=Kind.CACHE,
                 rows=(Shard("position", 64, "cyclic"),))  # fmt: skip
    scores = value("s", ("kv", 1), ("group", 8), ("position", 4096), rows=(Shard("position", 64, "cyclic"),))
    product = isa.Product("n", "q", ("keys",), ("s",), ("position",))
    for context, length in ((64, 1), (1000, 16), (4096, 64)):
        [v] = work(product, shares(q, keys, scores, step=Step(context=context))).vectors
        assert (v.length, v.count, v.sums) == (length, 16, 2)


@pytest.mark.parametrize(
    ("x", "sums", "converted", "factor"),
    [(F16, F16, 0, F16), (F16, F32, 0, F16), (F32, F16, 14, F16), (F32, F32, 14 * 48, F32)],
)
def test_factors_have_16_bits_with_sums_of_16_bits_and_else_the_wider_type(
    x: DType, sums: DType, converted: int, factor: DType
) -> None:
    """As they are executed: nothing is rounded on the way to 32-bit sums."""
    _, w, y = _matrix(14, 48)
    s = shares(value("x", ("hidden", 14), dtype=x), w, replace(y, dtype=sums))
    *before, last = work(isa.Product("n", "x", ("w",), ("y",), ("feature",)), s).vectors
    assert sum(v.length for v in before) == converted
    assert (last.operand, last.result) == (factor, sums)


OF_A_WORD = {
    DType.I8: ["shift", "unpack", "integer", "unpack", "add"],
    DType.F8: ["integer", "add"],
    DType.I4: ["shift", "unpack", *["shift", "integer", "unpack", "add"] * 2, "integer", "unpack", "add"],
}


@pytest.mark.parametrize("dtype", list(OF_A_WORD))
def test_words_are_taken_apart_before_rows_are_multiplied(dtype: DType) -> None:
    made = work(isa.Product("n", "x", ("w",), ("y",), ("feature",)), shares(*_matrix(14, 24, dtype))).vectors
    assert [v.arithmetic for v in made] == [*OF_A_WORD[dtype], "multiply", "multiply_add"]
    assert {v.count for v in made[:-2]} == {4 if dtype is DType.I4 else 7}  # a row of each word
    assert made[-2].length == 14  # the inputs take the scales of their rows


@pytest.mark.parametrize("dtype", list(OF_A_WORD))
def test_a_scratch_widens_many_rows_at_once_and_long_rows_have_several_scales(dtype: DType) -> None:
    scratch = value("wide", ("flat", 480), dtype=F16)
    made = work(
        isa.Product("n", "x", ("w",), ("y",), ("feature",), scratch="wide"), shares(*_matrix(14, 96, dtype), scratch)
    ).vectors
    groups = 96 // (32 if dtype is DType.I4 else 48)
    assert (made[0].length, made[0].count) == ((4 * 96, 1) if dtype is DType.I4 else (5 * 96, 2))
    assert made[-2].length == 14 * groups
    assert (made[-1].length, made[-1].count) == (96 // groups, 14 * groups)


@pytest.mark.parametrize(("words", "cycles"), [(96, (12, 12)), (200, (50, 50))])
def test_what_is_widened_stays_beside_the_datapath_where_it_fits(words: int, cycles: tuple[int, int]) -> None:
    """8 elements a cycle then, of words that are read from memory; else memory takes 4 a cycle."""
    scratch, product = value("wide", ("flat", words), dtype=F16), isa.Product("n", "x", ("w",), ("y",), ("feature",))
    found = work(replace(product, scratch="wide"), shares(*_matrix(2, words, DType.F8), scratch)).vectors
    assert tuple(vector_cost(wse3().core, v).compute for v in found[:2]) == cycles
    apart = work(replace(product, scratch="wide", unpinned=True), shares(*_matrix(2, words, DType.F8), scratch)).vectors
    assert [vector_cost(wse3().core, v).compute for v in apart[:2]] == [words / 4] * 2


def test_combine_takes_scalars_along_what_b_lacks() -> None:
    a = value("a", ("kv", 2), ("group", 4), ("position", 50))
    b = value("b", ("kv", 2), ("group", 4))
    [v] = work(isa.Combine("n", "subtract", "a", "a", "b"), shares(a, b)).vectors
    assert (v.length, v.count, v.read) == (50, 8, 4)
    [v] = work(isa.Combine("n", "subtract", "a", "a", "a"), shares(a)).vectors
    assert (v.length, v.count, v.read) == (400, 1, 8)


def test_a_function_takes_its_sequence_with_halves_of_words() -> None:
    a = value("a", ("feature", 16))
    made = work(isa.Apply("n", "exp", "a", "a"), shares(a)).vectors
    assert len(made) == len(SEQUENCES["exp"])
    assert [v.arithmetic for v in made[-2:]] == ["shift", "integer"]
    assert all(v.stride == 2 and v.operand is F16 for v in made[-2:])


def test_fold_is_one_element_a_cycle_only_into_scalars() -> None:
    a = value("a", ("group", 4), ("position", 50))
    [v] = work(isa.Fold("n", "sum", "r", "a"), shares(a, value("r", ("group", 4)))).vectors
    assert (v.arithmetic, v.length, v.count) == ("reduce", 50, 4)
    [v] = work(isa.Fold("n", "sum", "r", "a"), shares(a, value("r", ("position", 50)))).vectors
    assert (v.arithmetic, v.length, v.count) == ("add", 50, 4)


def _masked(step: Step, window: int = 0, chunk: int = 0, ring: int = 64) -> tuple[Vectors, ...]:
    a = value("a", ("group", 4), ("position", ring))
    return work(isa.Mask("n", "a", "a", window, chunk, 0.0), shares(a, step=step)).vectors


def test_one_token_a_sequence_needs_no_mask_unless_its_ring_keeps_more_than_its_window() -> None:
    assert not _masked(Step(sequences=8, context=64))
    assert not _masked(Step(context=640), window=64)
    assert len(_masked(Step(context=640), window=32)) == 2
    assert not _masked(Step(context=20), window=32)
    assert len(_masked(Step(context=64), chunk=16)) == 2


def test_a_chunk_masks_its_own_positions_and_where_windows_begin() -> None:
    [own] = _masked(Step(tokens=16, context=64))
    assert (own.arithmetic, own.length, own.count) == ("move", 16, 4 * 16), "no cores share positions here"
    [both] = _masked(Step(tokens=16, context=640), window=49)
    assert (both.length, both.count) == (16, 2 * 4 * 16)
    assert len(_masked(Step(tokens=16, context=640), window=32)) == 2, "a ring keeps more than windows take"
    over = value("a", ("group", 4), ("position", 64), rows=(Shard("position", 8, "cyclic"),))
    [dealt] = work(isa.Mask("n", "a", "a", 0, 0, 0.0), shares(over, step=Step(tokens=16, context=64))).vectors
    assert (dealt.length, dealt.count) == (16, 4 * 2)


@pytest.mark.parametrize(
    ("b", "kind", "length", "count"),
    [
        ((("d", 6), ("e", 4)), Kind.ACTIVATION, 24 * 5, 1),
        ((("d", 6), ("e", 4)), Kind.WEIGHT, 5, 24),
        ((("d", 6),), Kind.ACTIVATION, 5, 24),
        ((("d", 6),), Kind.WEIGHT, 4 * 5, 6),
        ((("e", 4),), Kind.ACTIVATION, 4 * 5, 6),
        ((("e", 4),), Kind.WEIGHT, 5, 24),
        ((), Kind.ACTIVATION, 5, 24),
        ((), Kind.WEIGHT, 24 * 5, 1),
    ],
)
def test_of_a_chunk_operations_run_along_tokens_as_far_as_both_operands_do(
    b: tuple[tuple[str, int], ...], kind: Kind, length: int, count: int
) -> None:
    a, other = value("a", ("d", 6), ("e", 4)), value("b", *b, kind=kind)
    step = Step(tokens=5, context=64)
    [v] = work(isa.Combine("n", "multiply", "a", "a", "b"), shares(a, other, step=step)).vectors
    assert (v.length, v.count) == (length, count)


def test_functions_take_a_chunk_piece_by_piece() -> None:
    made = work(
        isa.Apply("n", "exp", "a", "a"), shares(value("a", ("d", 10)), step=Step(tokens=16, context=64))
    ).vectors
    assert len(made) == len(SEQUENCES["exp"])
    assert all((v.length, v.count, v.apart) == (54, 3, True) for v in made), "3 pieces of at most 64"


def test_sums_of_a_chunk_are_vector_additions() -> None:
    a, step = value("a", ("group", 4), ("position", 50)), Step(tokens=8, context=64)
    [v] = work(isa.Fold("n", "sum", "r", "a"), shares(a, value("r", ("group", 4)), step=step)).vectors
    assert (v.arithmetic, v.length, v.count) == ("add", 8, 200)


def test_owners_of_a_chunk_send_in_the_order_of_their_places() -> None:
    step = Step(tokens=4, context=64)

    def senders(index: str) -> tuple[int, ...] | None:
        a = value("a", ("d", 3), columns=(Owner(index, 10),))  # type: ignore[arg-type]
        sent = isa.Multicast("n", "b", "a", isa.Line(Axis.COLUMNS, 10), "f32")
        haul = work(sent, shares(a, value("b", ("d", 3)), step=step)).haul
        assert haul is not None and haul.pieces == (12,) * 4
        return haul.senders

    assert senders("token") == (0, 3, 6, 9)
    assert senders("position") == (0, 1, 2, 9), "one begins the line anew"


def test_slices_and_addresses_take_nothing() -> None:
    assert work(isa.Slice("n", "a", "a"), shares(value("a", ("flat", 4)))).vectors == ()


def test_each_root_sends_its_own_slice() -> None:
    tree, values = sliced_sum(32, 10, 3)
    haul = work(isa.Multicast("n", "sum", "sum.roots", line(32), "f32"), shares(*values, trees=(tree,))).haul
    assert haul is not None and haul.pieces == (16, 16, 8)
    assert haul.senders is not None and len(haul.senders) == 3
    assert haul.line == isa.Line(Axis.COLUMNS, 32)


def test_lists_are_merged_one_by_one() -> None:
    tree, _ = sliced_sum(32, 10, 1)
    own = value("own", ("which", 2), ("count", 8), columns=(Partial("max", 32),))
    best = value("best", ("which", 2), ("count", 8), columns=(Roots(32, 0, whole=True),))
    haul = work(isa.Reduce("n", "top", "best", "own", line(32), "f32"), shares(own, best, trees=(tree,))).haul
    assert haul is not None and (haul.pieces, haul.merging) == ((64,), 8)


@pytest.mark.parametrize(("dims", "stride"), [(("column", "position"), 8), (("position", "column"), 1)])
def test_what_is_appended_lies_as_far_apart_as_the_cache_is_long(dims: tuple[str, str], stride: int) -> None:
    sizes = {"column": 4, "position": 512}
    cache = value("cache", *((d, sizes[d]) for d in dims), dtype=F16, kind=Kind.CACHE,
                  rows=(Shard("position", 64, "cyclic"),))  # fmt: skip
    [v] = work(isa.Append("n", "cache", "k"), shares(cache, value("k", ("column", 4)))).vectors
    assert (v.arithmetic, v.length, v.stride) == ("convert", 4, stride)
