"""Vector operations take their set-up and the slowest of arithmetic unit, ports and banks."""

import pytest

from undiced.machine.arithmetic import local_cost, vector_cost
from undiced.machine.core import Core
from undiced.machine.presets import wse2, wse3
from undiced.program.wafer.value import DType
from undiced.program.wafer.work import Arithmetic, Vectors, Work

F16, F32 = DType.F16, DType.F32


def cycles(v: Vectors, core: Core | None = None) -> float:
    return vector_cost(core or wse3().core, v).compute


@pytest.mark.parametrize(
    ("arithmetic", "operand", "result", "expected"),
    [
        ("multiply_add", F16, F16, (4, 8)),
        ("multiply_add", F16, F32, (2, 4)),
        ("multiply_add", F32, F32, (1, 1)),
        ("multiply", F32, F32, (1, 1)),
        ("add", F16, F16, (4, 8)),
        ("add", F32, F32, (2, 4)),
        ("move", F32, F32, (2, 4)),
        ("maximum", F16, F16, (1, 8)),
        ("maximum", F32, F32, (1, 4)),
        ("convert", F32, F16, (1, 4)),
        ("shift", F16, F16, (1, 4)),
        ("unpack", DType.I8, F16, (1, 8)),
        ("integer", F16, F16, (4, 8)),
        ("reduce", F32, F32, (1, 1)),
    ],
)
def test_rates_are_those_of_the_vendor(
    arithmetic: Arithmetic, operand: DType, result: DType, expected: tuple[int, int]
) -> None:
    v = Vectors(arithmetic, operand, result, 64)
    assert tuple(64 / cycles(v, wafer.core) for wafer in (wse2(), wse3())) == expected


def test_ports_bound_what_streams_through_memory() -> None:
    assert cycles(Vectors("add", F32, F32, 64, read=8, written=4)) == 32
    assert cycles(Vectors("add", F16, F16, 64, read=4, written=2)) == 16


def test_strides_that_meet_the_same_banks_are_slow() -> None:
    def at(stride: int) -> float:
        return cycles(Vectors("add", F16, F16, 64, stride=stride))

    assert [at(stride) for stride in (1, 2, 3, 4, 7, 8, 9)] == [8, 8, 8, 32, 32, 64, 32]


def test_a_loop_is_cheaper_to_issue_than_as_many_operations_outside() -> None:
    core = wse3().core
    one = vector_cost(core, Vectors("add", F16, F16, 8)).overhead
    many = vector_cost(core, Vectors("add", F16, F16, 8, count=10)).overhead
    assert one == core.straight_setup_cycles.value
    assert many == 10 * core.vector_setup_cycles.value + core.loop_iteration_cycles.value < 10 * one


def test_sums_stay_beside_the_datapath_where_they_fit() -> None:
    """14 inputs by 64 outputs of 16 bits: 8 elements a cycle, the last operation bound by the write port."""
    assert cycles(Vectors("multiply_add", F16, F16, 64, 14, 1, 2, 0, 1, 14)) == 13 * 8 + 16


def test_sums_that_are_added_to_are_read_first() -> None:
    fresh, added = (Vectors("multiply_add", F16, F16, 64, 14, 1, 2, 0, 1, 14, again) for again in (False, True))
    assert cycles(added) == cycles(fresh) + 8


def test_longer_sums_take_passes_or_memory() -> None:
    core = wse3().core
    fits = int(core.cache_bytes.value) // 2
    v = Vectors("multiply_add", F16, F16, 2 * fits, 100, 1, 2, 0, 1, 100)
    half = Vectors("multiply_add", F16, F16, fits, 100, 1, 2, 0, 1, 100)
    assert cycles(v) == 2 * cycles(half)
    assert vector_cost(core, v).overhead == 2 * vector_cost(core, half).overhead


def test_an_instruction_is_the_sum_of_what_it_does() -> None:
    core = wse3().core
    v = Vectors("add", F16, F16, 8)
    assert local_cost(core, Work((v, v), scalars=3)).cycles == pytest.approx(
        2 * vector_cost(core, v).cycles + 3 * core.scalar_step_cycles.value
    )


def test_nothing_takes_nothing() -> None:
    assert not local_cost(wse3().core, Work((Vectors("add", F16, F16, 0),))).cycles
