"""What a core's vector operations and scalar steps take: rates by arithmetic and type, memory ports, set-ups.

An operation takes its set-up and then the slowest of arithmetic unit, read port and write port. Sums that an operation
after the other adds to stay in the store beside the datapath, in as many passes as it takes, where that is faster.
"""

from __future__ import annotations

from math import ceil, inf

from undiced.machine.core import Core
from undiced.machine.cost import ZERO, Cost
from undiced.program.wafer.banks import WORD_BYTES, Banks
from undiced.program.wafer.value import DType
from undiced.program.wafer.work import BYTES, Vectors, Work


def banks(core: Core) -> Banks:
    """What its rule of banks takes: which reads fit beside each other, and what is not read."""
    return Banks(int(core.read_bank_modulus.value), int(core.cache_bytes.value))


def rate(core: Core, v: Vectors) -> float:
    """Elements a cycle of the arithmetic unit."""
    whole = BYTES[v.operand] >= BYTES[DType.F32]
    wide = whole or BYTES[v.result] >= BYTES[DType.F32]
    match v.arithmetic:
        case "reduce":
            return core.scalar_reduction_per_cycle.value
        case "multiply" | "multiply_add" if whole:
            return core.fp32_multiply_per_cycle.value
        case "maximum":
            return (core.fp32_maximum_per_cycle if wide else core.fp16_maximum_per_cycle).value
        case "convert" | "shift":
            return core.conversion_per_cycle.value
        case "unpack":
            return core.fixed_conversion_per_cycle.value
    return (core.lanes_32bit if wide else core.lanes_16bit).value


def strided(core: Core, v: Vectors) -> float:
    """Elements a cycle that the banks give at the stride of the worst operand; infinite at full width."""
    if v.stride <= 1:
        return inf
    words = v.stride * max(1, ceil(BYTES[v.operand] / WORD_BYTES))
    banks = int(core.sram_banks.value)
    slow = {
        0: core.stride_0_per_cycle,
        1: core.stride_1_per_cycle,
        banks // 2: core.stride_4_per_cycle,
        banks - 1: core.stride_1_per_cycle,
    }
    found = slow.get(words % banks)
    return found.value if found else inf


def elements_cycles(core: Core, v: Vectors, length: int, read: float, written: float) -> float:
    """Cycles of `length` elements, the set-up apart."""
    return max(
        ceil(length / min(rate(core, v), strided(core, v))),
        ceil(length * read / core.read_bytes_per_cycle.value),
        ceil(length * written / core.write_bytes_per_cycle.value),
    )


def setup_cycles(core: Core, count: int, loops: int, *, apart: bool = False) -> float:
    """Issuing `count` operations, which are iterations of `loops` loops; a single one loads its descriptors, as do all
    that stand `apart`."""
    if count == 1 or apart:
        return count * core.straight_setup_cycles.value
    return count * core.vector_setup_cycles.value + loops * core.loop_iteration_cycles.value


def vector_cost(core: Core, v: Vectors) -> Cost:
    """All operations of `v`, one after the other."""
    if v.length <= 0 or v.count <= 0:
        return ZERO
    if v.sums:
        return (_beside_datapath if stays_beside(core, v) else _in_memory)(core, v)
    buffered = 0 < v.beside <= core.cache_bytes.value
    read, written = (v.fed, 0.0) if buffered else (v.read, v.written)
    each = elements_cycles(core, v, v.length, read, written)
    return Cost(compute=each * v.count, overhead=setup_cycles(core, v.count, v.loops, apart=v.apart))


def stays_beside(core: Core, v: Vectors) -> bool:
    """Whether sums that operations add to stay beside the datapath: they may, and it is faster."""
    return bool(v.sums) and not v.unpinned and _beside_datapath(core, v).cycles < _in_memory(core, v).cycles


def _in_memory(core: Core, v: Vectors) -> Cost:
    """Sums are read and written by every operation, but the first reads none."""
    size, first = BYTES[v.result], 0 if v.added else v.count // v.sums
    fresh = elements_cycles(core, v, v.length, v.read, size)
    adding = elements_cycles(core, v, v.length, v.read + size, size)
    return Cost(compute=fresh * first + adding * (v.count - first), overhead=setup_cycles(core, v.count, v.loops))


def _beside_datapath(core: Core, v: Vectors) -> Cost:
    """Sums stay in the store; the first operation of each brings them there, the last takes them to memory."""
    size = BYTES[v.result]
    passes = ceil(v.length * size / core.cache_bytes.value)
    piece, groups = ceil(v.length / passes), v.count // v.sums * passes
    kept = elements_cycles(core, v, piece, v.read, 0)
    last = elements_cycles(core, v, piece, v.read + (size if v.added and v.sums == 1 else 0), size)
    brought = elements_cycles(core, v, piece, v.read + size, 0) - kept if v.added and v.sums > 1 else 0
    compute = (kept * (v.sums - 1) + last + brought) * groups
    return Cost(compute=compute, overhead=setup_cycles(core, v.count * passes, v.loops * passes))


def local_cost(core: Core, work: Work) -> Cost:
    """What a core does by itself for an instruction: vector operations, calls of the library and scalar steps."""
    compute = work.calls * core.transcendental_cycles.value
    overhead = work.scalars * core.scalar_step_cycles.value + work.draws * core.draw_cycles.value
    for v in work.vectors:
        cost = vector_cost(core, v)
        compute, overhead = compute + cost.compute, overhead + cost.overhead
    return Cost(compute=compute, overhead=overhead)
