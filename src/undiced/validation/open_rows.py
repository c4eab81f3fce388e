"""Published rows that are reported and never fitted on.

The median mode of a multicast, and what is not described well enough to be run as it was, is reported without an aim.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from undiced.compiler.wafer.published.assemble import two_tree
from undiced.validation import published_runs as runs
from undiced.validation.calibration_rows import CORES, column_row, interval, layer, multicast_row, token
from undiced.validation.lab import Lab, Run
from undiced.validation.microbenchmark import gemv, line_allreduce, line_chain, line_multicast
from undiced.validation.replayed import PLACES, Replayed, command, of_run, single
from undiced.validation.row import AM, WLLM, ValidationRow
from undiced.validation.services import SERVICES, Service

_FASTEST: dict[int, tuple[str, tuple[float | None, ...]]] = {
    256: ("V02", (93, 107, 155, 347, 603)),
    2048: ("V04", (597, None, 659, 851, 1107)),  # 16 cores: a missed mode
}
_MEDIAN: dict[int, tuple[str, tuple[float, ...]]] = {
    64: ("V01", (62, 77, 125, 318, 574)),
    256: ("V02", (150, 168, 214, 406, 662)),
    1024: ("V03", (358, 372, 420, 612, 868)),
    2048: ("V04", (646, 660, 708, 900, 1156)),
}
_DECODE, _PROMPT, _REPLAY = 0.08, 0.10, 0.20  # aims of what runs programs, and of what is timed from a description
_WAFERS = {"llama-3.1-8b": 1, "llama-3.1-70b": 4, "llama-3.1-405b": None}
_CODE_BYTES = (None, 5_120, 22_600 + 3_600)  # as counted; a lean assumption; a program as measured, with its system
_ONE_LAYER_KV = runs.waferllm("llama-3-8b", 360)


def open_rows() -> list[ValidationRow]:
    """All of them."""
    return [
        *_multicasts(),
        *_columns(),
        *_waferllm(),
        *_engine(),
        *_prompts(),
        *_memory(),
        *_slopes(),
        *_reported(),
        *_services(),
    ]


def _multicasts() -> list[ValidationRow]:
    return [
        multicast_row(row_id, payload_bytes, cores, cycles, late, None)
        for late, table in ((False, _FASTEST), (True, _MEDIAN))
        for payload_bytes, (row_id, values) in table.items()
        for cores, cycles in zip(CORES, values, strict=True)
        if cycles is not None
    ]


def _columns() -> list[ValidationRow]:
    return [column_row(32, 675.7e3, None), column_row(1280, 28.47e6, None)]


def _waferllm() -> list[ValidationRow]:
    def row(row_id: str, what: str, cycles: float, run: Run) -> ValidationRow:
        aim = _DECODE if run.phase == "decode" else _PROMPT
        what = f"WaferLLM {what}, {run.region[0]} x {run.region[1]}, WSE-2"
        replayed = of_run(run, "cycles_per_layer")
        return ValidationRow(
            row_id, what, cycles, "cycles", layer(run), WLLM, clock="1.1 GHz", tolerance=aim, replayed=replayed
        )

    decode, prompt = runs.waferllm, runs.waferllm_prompt
    return [
        row("V16", "8B decode layer", 15_323, decode("llama-3-8b", 660)),
        row("V19", "13B decode layer", 13_486, decode("llama-2-13b", 420)),
        row("V19", "13B decode layer", 15_806, decode("llama-2-13b", 660)),
        row("V20", "34B decode layer, some layers run and scaled", 15_796, decode("codellama-34b", 420)),
        row("V20", "34B decode layer, some layers run and scaled", 16_280, decode("codellama-34b", 540)),
        row("V21c", "8B prefill layer, 4,096 tokens", 5.086e6, prompt("llama-3-8b", 720)),
        row("V22", "13B prefill layer, 4,096 tokens", 8.231e6, prompt("llama-2-13b", 480)),
        row("V23", "72B prefill layer, 4,096 tokens, some layers run and scaled", 14.92e6, prompt("qwen2-72b", 600)),
    ]


def _engine() -> list[ValidationRow]:
    def row(row_id: str, wide: bool, run: Run, cycles: float, judged: bool = True) -> ValidationRow:
        drawn = row_id in ("V27", "V28")
        stages = "8 stages of 256 x 256" if wide else "28 stages of 64 x 256"
        how = "free tokens" if drawn else "forced tokens"
        end = "a full token" if drawn else "cycles between tokens"
        what = f"waferengine, {stages}, {how}, mean context {run.context:,}: {end}"
        measure, aim = (token if drawn else interval)(run), _DECODE if judged else None
        key = "cycles_per_token" if drawn else "stage_interval_cycles"
        return ValidationRow(row_id, what, cycles, "cycles", measure, AM, tolerance=aim, replayed=of_run(run, key))

    return [
        row("S29b", False, runs.forced(False, 1024), 18_731),
        row("V29", True, runs.forced(True, 256), 53_550),
        row("V29b", False, runs.forced(False, 256), 18_140),
        row("P0-8", True, runs.engine(True, 4096), 57_113),
        row("V27", True, runs.free(True, 4096), 499_383),
        row("V27", True, runs.free(True, 24_576), 616_791, judged=False),  # another compiled capacity
        row("V27", True, runs.free(True, 32_000), 645_063, judged=False),
        row("V28", False, runs.free(False, 256), 596_324),
        row("V28", False, runs.free(False, 1024), 615_630),
        ValidationRow(
            "D1",
            "cycles between tokens, 4 regions of 7 layers over 8 regions, mean context 384, an older build",
            1.739,
            "ratio",
            _four_over_eight,
            tolerance=_DECODE,
            replayed=Replayed(tuple(map(command, _DEPTHS)), "stage_interval_cycles", "ratio"),
        ),
        ValidationRow(
            "B2",
            "full token, batch 2 over batch 1 in lockstep, 8 regions, mean context 1,152, an older build",
            1.2111,
            "ratio",
            _two_over_one,
            AM,
            tolerance=_DECODE,
            replayed=Replayed(tuple(map(command, _LOCKSTEP)), "cycles_per_token", "ratio"),
        ),
    ]


_HELD = runs.engine(True, 8192, capacity=8192)
_DEPTHS = tuple(runs.engine(True, 384, stages) for stages in ((7,) * 4, None))
_BATCHES = tuple(runs.engine(True, 1152, batch=batch, capacity=1792) for batch in (1, 2, 3, 4))
_LOCKSTEP = _BATCHES[1], _BATCHES[0]


def _two_over_one(lab: Lab) -> float:
    two, one = map(lab.report, _LOCKSTEP)
    return two.token_cycles / one.token_cycles


def _prompts() -> list[ValidationRow]:
    """The engine's prefill, replayed from what is said of it."""

    def row(row_id: str, cycles: float, run: Run, what: str) -> ValidationRow:
        return ValidationRow(
            row_id, f"waferengine, prefill on 8 regions, {what}", cycles, "cycles", lambda lab: lab.prompt(run), AM,
            tolerance=_REPLAY, replayed=of_run(run, "prompt_cycles"),
        )  # fmt: skip

    def body(row_id: str, cycles: float, name: str, what: str) -> ValidationRow:
        what = f"{what} of its prefill, waiting included: an upper bound"
        return ValidationRow(
            row_id, what, cycles, "cycles", lambda lab: lab.part(half, name), AM, replayed=single(row_id)
        )  # fmt: skip

    def used(chunk: int, published: float) -> ValidationRow:
        run = runs.prompt(8192, chunk)
        what = f"waferengine, fullest core of its prefill, chunk {chunk}, code counted"
        key = "sram_bytes_max_per_core"
        return ValidationRow(
            "SR-P", what, published, "bytes", lambda lab: lab.prompt_bytes(run), AM, replayed=of_run(run, key)
        )  # fmt: skip

    half = runs.prompt(8192, 512)
    return [
        row("PF-512", 430_044_189, half, "8,192 tokens in chunks of 512"),
        row("PF-512s", 48.0e6, runs.prompt(256, 512), "256 tokens: half a chunk of 512"),
        row("PF-768", 281.9e6, runs.prompt(8192, 768), "8,192 tokens in chunks of 768"),
        row("PF-256", 1_101_615_635, runs.prompt(8192, 256), "8,192 tokens in chunks of 256"),
        row("PF-256r", 604_117_559, runs.prompt(8192, 256, 6144), "the same, 6,144 of them there already"),
        body("K4", 925.50, "q/k norm", "norm of keys"),
        body("K5", 3_549.13, "norm", "rmsnorm"),
        used(512, 45_078),
        used(768, 47_846),
    ]


def _memory() -> list[ValidationRow]:
    """What the pipeline's cores hold; published programs have other code than is counted for ours."""

    def row(row_id: str, what: str, published: float, unit: str, run: Run, fact: str) -> ValidationRow:
        what = f"{what}, code counted"
        key = "sram_bytes_resident_per_core" if unit == "bytes" else fact
        return ValidationRow(
            row_id, what, published, unit, lambda lab: lab.fact(run, fact), AM, replayed=of_run(run, key)
        )

    longest, used = "max_context_tokens", "sram_bytes_resident_per_core"
    return [
        row(
            "MC-8",
            "waferengine, longest decode, 8 regions",
            32_512,
            "tokens",
            runs.engine(True, 8192, capacity=8192),
            longest,
        ),
        row(
            "MC-4",
            "waferengine, longest decode, 4 regions",
            22_784,
            "tokens",
            runs.engine(True, 8192, (7,) * 4, capacity=8192),
            longest,
        ),
        row(
            "SR-8",
            "waferengine, fullest core at 8,192 positions",
            40_054,
            "bytes",
            runs.engine(True, 8192, capacity=8192),
            used,
        ),
        ValidationRow(
            "MC-b",
            "waferengine, most sequences in lockstep, code counted",
            2,
            "sequences",
            _most_sequences,
            AM,
            replayed=Replayed(tuple(map(command, _BATCHES)), PLACES, "count"),
        ),
        ValidationRow(
            "MC-w",
            "waferengine, regions of 128 x 128 with a layer each (0: nothing places), code counted",
            0,
            "programs",
            lambda lab: float(lab.places(runs.narrow())),
            AM,
            replayed=of_run(runs.narrow(), PLACES),
        ),
    ]


def _most_sequences(lab: Lab) -> float:
    return sum(map(lab.places, _BATCHES))


def _slopes() -> list[ValidationRow]:
    """What a position more costs: differences of two rows of one series."""

    def row(series: str, run: Callable[[int], Run], drawn: bool, ends: tuple[tuple[int, float], ...]) -> ValidationRow:
        (near, few), (far, many) = ends

        def simulate(lab: Lab) -> float:
            low, high = ((token if drawn else interval)(run(at))(lab) for at in (near, far))
            return (high - low) / (far - near)

        what = f"{series}: cycles per position from {near:,} to {far:,}"
        key = "cycles_per_token" if drawn else "stage_interval_cycles"
        replayed = Replayed((command(run(near)), command(run(far))), key, "slope", far - near)
        return ValidationRow(
            "slope", what, (many - few) / (far - near), "cycles", simulate, AM, "derived", replayed=replayed
        )

    wide, narrow = partial(runs.engine, True), partial(runs.engine, False)
    return [
        row("8 stages, forced tokens", wide, False, ((768, 53_550), (1_536, 55_701))),
        row("28 stages, forced tokens", narrow, False, ((768, 18_140), (1_536, 18_731))),
        row("8 stages, free tokens", wide, True, ((1_056, 476_404), (4_128, 499_383))),
        row("28 stages, free tokens", narrow, True, ((288, 596_324), (1_056, 615_630))),
    ]


def _four_over_eight(lab: Lab) -> float:
    four, eight = map(lab.report, _DEPTHS)
    return four.stage_interval_cycles / eight.stage_interval_cycles


def _reported() -> list[ValidationRow]:
    """Rows whose experiments are not described well enough to be judged by."""

    def row(row_id: str, what: str, cycles: float, machine: str, length: int, payload: int) -> ValidationRow:
        def run(lab: Lab) -> float:
            link = lab.wafer(machine).link
            if row_id.endswith("copy"):
                return line_multicast(link, payload, length - 1, late=False).cycles
            return line_chain(link, length, payload).cycles

        shown = single(row_id[:3])
        return ValidationRow(
            row_id[:3], f"{what}, {machine}", cycles, "cycles", run, "[SDK]", "simulated", replayed=shown
        )

    def product(size: int, cycles: float, row_id: str) -> ValidationRow:
        what = f"MeshGEMV {size // 1024}K x {size // 1024}K fp16, WSE-2 (600 x 600 assumed)"
        return ValidationRow(
            row_id,
            what,
            cycles,
            "cycles",
            lambda lab: _mesh_gemv(lab, size),
            WLLM,
            clock="1.1 GHz",
            replayed=single(row_id),
        )

    return [
        row("V10 copy", "copy over 4 cores, 4 wavelets", 22, "wse2", 4, 4),
        row("V10 copy", "copy over 4 cores, 4 wavelets", 21, "wse3", 4, 4),
        row("V10 sum", "pipelined reduce over 15 cores, 128 wavelets", 317, "wse2", 15, 128),
        row("V10 sum", "pipelined reduce over 15 cores, 128 wavelets", 343, "wse3", 15, 128),
        product(16_384, 1_320, "V12"),
        product(32_768, 2_233, "V13"),
        ValidationRow(
            "V26",
            "longest decode, shift KV, 360 x 360, one layer resident",
            137_548,
            "tokens",
            lambda lab: lab.fact(_ONE_LAYER_KV, "max_context_tokens"),
            WLLM,
            replayed=of_run(_ONE_LAYER_KV, "max_context_tokens"),
        ),
    ]


def _mesh_gemv(lab: Lab, size: int) -> float:
    wafer, side = lab.wafer("wse2"), 600
    local = -(-size // side)
    return gemv(wafer, local, local) + line_allreduce(wafer.link, two_tree(side, 24), -(-local // 2)).cycles


def _services() -> list[ValidationRow]:
    """Our mapping beside what is known of services that run something else."""

    def speed(each: Service) -> ValidationRow:
        what = f"{each.model} service, {each.known}; simulated: undiced, fewest wafers for counted code, no speculation"
        return ValidationRow(
            each.row_id,
            what,
            each.tokens_per_second,
            "tokens/s",
            lambda lab: lab.ours(each.model),
            "vendor, [AA]",
            "claimed",
            "1.1 GHz",
            replayed=Replayed((f"simulate {each.model}",), "tokens_per_second"),
        )

    def wafers(model: str, published: float | None, code_bytes: int | None) -> ValidationRow:
        code = f"{code_bytes:,} bytes of code and system assumed" if code_bytes else "code counted"
        what = f"wafers for 16-bit weights, {model}, {code}" + ("" if published else " (19 to 26)")
        told = f"simulate {model}" + (f" --code-bytes {code_bytes}" if code_bytes else "")
        return ValidationRow(
            "V38", what, published, "wafers", lambda lab: lab.wafers(model, code_bytes), "[WLLM], vendor", "claimed",
            replayed=Replayed((told,), "wafers"),
        )  # fmt: skip

    return [
        *map(speed, SERVICES),
        *(wafers(model, count, code) for model, count in _WAFERS.items() for code in _CODE_BYTES),
    ]
