"""Claims about the chip: transistors, cores, peak, memory. What of each a program can use is found on a real one."""

from __future__ import annotations

from undiced.machine import silicon
from undiced.machine.gpu import find_gpu
from undiced.machine.interval import Interval
from undiced.study.claims.bench import CONTEXT, Bench
from undiced.study.claims.claim import Claim, Finding, Result
from undiced.study.claims.verdict import TOLERANCE, Said, bounded, judged

TARGET, SMALL = "llama-3.3-70b", "llama-3.1-8b"
_TRANSISTORS, _CORES, _PEAK, _SRAM, _TIMES = 4e12, 900_000, 125e15, 44e9, 1000
_ALMOST = 0.8  # ours: of a number, what may still be called almost that number
_BITS, _PER_OPERATION = 8, 2
_LESS = f"{TOLERANCE:.0%} less is taken for rounding"


def transistors(bench: Bench) -> Result:
    """Between what its memory alone takes and what its area holds at a GPU's density."""
    wafer = bench.wafer
    bits = wafer.mesh.cores_built.value * wafer.core.sram_bytes.value * _BITS
    cells = bits * silicon.SRAM_CELL.value
    density = silicon.GPU_TRANSISTORS.value / silicon.GPU_AREA_MM2.value
    most = density * wafer.mesh.die_area_mm2.value
    logic = (_TRANSISTORS - cells) / wafer.mesh.cores_built.value
    findings = (
        Finding("said", _TRANSISTORS, "transistors", "vendor"),
        Finding("memory cells of all cores built, six transistors a bit", cells, "transistors"),
        Finding("the wafer's area at an H100's density, the same generation of process", most, "transistors"),
        Finding("left for a core's logic, at what is said", logic, "transistors"),
    )
    words = f"only bounds can be computed, {cells / 1e12:.2g} to {most / 1e12:.2g} trillion"
    return Result(findings, bounded(_TRANSISTORS, cells, most, words))


def cores(bench: Bench) -> Result:
    """Those of the grid that programs may use."""
    wafer = bench.wafer
    program = bench.program(TARGET)
    usable, enabled = wafer.mesh.cores, wafer.mesh.cores_enabled.value
    rects = {(region.wafer, region.rect) for region in program.regions}
    covered = sum(rect.cores for _, rect in rects) / program.wafers
    findings = (
        Finding("said", _CORES, "cores", "vendor"),
        Finding("built", wafer.mesh.cores_built.value, "cores", "vendor"),
        Finding("in the grid that programs may use", usable, "cores", "[SDK], derived"),
        Finding(f"of a wafer, in regions of {TARGET} on {program.wafers}", covered, "cores"),
    )
    short = f"cores beyond the usable grid are counted, {enabled - usable:,.0f} of them"
    counted = short if Said.at_least(_CORES).holds(enabled) else None
    words = f"{usable / _CORES:.1%} of them are usable"
    return Result(findings, judged(_exact(usable), Said.at_least(_CORES), words, (counted,)))


def peak(bench: Bench) -> Result:
    """16-bit multiply-adds of all cores, dense; and what of that decoding and a prompt reach."""
    wafer, over = bench.wafer, bench.over
    each = wafer.mesh.cores_enabled.value * wafer.core.lanes_16bit.value * _PER_OPERATION
    low, high = over.ends_hz
    dense = Interval(each * low, each * (low + high) / 2, each * high)
    zeros = 1 - dense.high / _PEAK
    findings = [
        Finding("said", _PEAK / 1e15, "PFLOPS", "vendor: sparse"),
        Finding("dense, all enabled cores", dense.times(1e-15), "PFLOPS"),
        *_reached(bench, each),
    ]
    condition = f"{zeros:.1%} of all products are of zeros, and skipped at no cost" if 0 < zeros < 1 else None
    words = f"{dense.median / 1e15:.3g} PFLOPS dense"
    return Result(tuple(findings), judged(dense, Said.at_least(_PEAK), words, (condition,)))


def _reached(bench: Bench, each: float) -> list[Finding]:
    """Shares of the dense peak, with the multiply-adds that the model needs."""
    from undiced.model.node import Load

    program, graph = bench.program(TARGET, objective="interval"), bench.graph(TARGET)
    timings = bench.time(program, CONTEXT)
    flops = graph.flops(Load(1, CONTEXT, 1, value_bytes=0, kv_bytes=0))
    stages = len(timings.each[0].regions)
    cycles = [one.initiation_interval_cycles for one in timings.each]
    full = [flops / (count * each * program.wafers) for count in cycles]
    alone = [flops / (one.token_cycles * each * program.wafers) for one in timings.each]
    load = Load(CONTEXT, CONTEXT / 2, 1, value_bytes=0, kv_bytes=0)
    layer, chunked = bench.prompt_program(SMALL, mapping="waferllm"), bench.prompt_program(TARGET)
    taken = [bench.graph(SMALL).flops(load) / (one.token_cycles * each) for one in bench.time(layer, CONTEXT).each]
    chunks = bench.prompt_cycles(chunked, CONTEXT)
    together = [graph.flops(load) / (count * each * chunked.wafers) for count in chunks]
    return [
        Finding(f"of it in {TARGET}, one sequence", _of(alone).times(100), "%"),
        Finding(f"of it in {TARGET}, {stages} sequences, one a stage, were there room", _of(full).times(100), "%"),
        Finding(f"of it in a prompt of {CONTEXT:,} in chunks, {TARGET}", _of(together).times(100), "%"),
        Finding(f"of it in a prompt of {CONTEXT:,} by WaferLLM's mapping, {SMALL}", _of(taken).times(100), "%"),
    ]


def memory(bench: Bench) -> Result:
    """All of it, and what code leaves for weights and caches."""
    wafer = bench.wafer
    program = bench.program(TARGET)
    sram, usable = wafer.core.sram_bytes.value, wafer.mesh.cores
    code = program.fact("code_bytes")
    free = usable * (sram - code)
    weights = bench.graph(TARGET).weight_bytes / program.wafers
    room = sram - _SRAM * (1 - TOLERANCE) / usable
    findings = (
        Finding("said", _SRAM / 1e9, "GB", "vendor"),
        Finding("of all enabled cores", sram * wafer.mesh.cores_enabled.value / 1e9, "GB"),
        Finding("of the cores that programs may use", sram * usable / 1e9, "GB"),
        Finding(f"code and system of a core, counted in {TARGET}", code, "bytes"),
        Finding("left for weights, caches and what is worked on", free / 1e9, "GB"),
        Finding(f"weights of {TARGET} on each of {program.wafers} wafers", weights / 1e9, "GB"),
    )
    condition = f"a core's code and system take {room:,.0f} bytes at most" if room > 0 else None
    words = f"{free / 1e9:.3g} GB are left beside code"
    return Result(findings, judged(_exact(free), Said.at_least(_SRAM), words, (condition,)))


def beside_a_gpu(bench: Bench) -> Result:
    """Over an H100's on-chip memory, by what is counted of it."""
    wafer, gpu = bench.wafer, find_gpu("h100")
    mine = wafer.core.sram_bytes.value * wafer.mesh.cores_enabled.value
    blocks = silicon.GPU_BLOCK_SRAM.value * silicon.GPU_BLOCKS_ENABLED.value
    half = silicon.GPU_BLOCK_SRAM.value / 2 * silicon.GPU_BLOCKS_ENABLED.value
    readings = {
        "second-level cache alone": gpu.sram_bytes.value,
        "caches, without registers": gpu.sram_bytes.value + half,
        "caches and registers": gpu.sram_bytes.value + blocks,
    }
    ratios = {name: mine / bytes_ for name, bytes_ in readings.items()}
    said = Said(_ALMOST * _TIMES, _TIMES)
    whole = ratios["caches and registers"]
    right = [name for name, ratio in ratios.items() if said.holds(ratio)]
    condition = f"an H100's {right[0]} is counted: {ratios[right[0]]:,.0f} times" if right else None
    findings = (
        Finding("said: almost", _TIMES, "times", "the interview"),
        *(Finding(f"over an H100's {name}", ratio, "times") for name, ratio in ratios.items()),
    )
    words = f"{whole:,.0f} times all on-chip memory of an H100"
    return Result(findings, judged(_exact(whole), said, words, (condition,)))


def _exact(value: float) -> Interval:
    return Interval(value, value, value)


def _of(values: list[float]) -> Interval:
    import numpy as np

    return Interval.of(np.array(values))


CLAIMS = (
    Claim(
        "transistors",
        "The wafer has 4 trillion transistors.",
        "Reproduced if bounds from its memory and from its area pin it down to 5 %; not reproduced if it lies outside "
        "of them; else not testable.",
        transistors,
    ),
    Claim(
        "cores",
        "It has 900,000 cores.",
        f"Reproduced if programs may use as many ({_LESS}); else holds only if all enabled cores are counted.",
        cores,
    ),
    Claim(
        "petaflops",
        "It does 125 PFLOPS.",
        f"Reproduced if 16-bit multiply-adds of all cores, none skipped, reach it at all clocks ({_LESS}); else holds "
        "only if as many products are skipped as it takes.",
        peak,
    ),
    Claim(
        "sram",
        "It has 44 GB of memory.",
        f"Reproduced if as much is left for weights and caches beside a program's code ({_LESS}); else holds only if "
        "code is as small as it takes.",
        memory,
    ),
    Claim(
        "sram-of-h100",
        "It has almost 1,000 times the on-chip memory of an H100.",
        f"Reproduced if it is {_ALMOST * _TIMES:,.0f} to {_TIMES:,} times all on-chip memory, registers included; else "
        "holds only if the part that makes it so is counted.",
        beside_a_gpu,
    ),
)
