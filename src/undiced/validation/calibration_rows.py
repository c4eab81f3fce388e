"""Published rows that parameters may be fitted on. Values and sources are public; no parameter lives here.

Noise of a row is what its source states, or the resolution of its figure where nothing is stated.
"""

from __future__ import annotations

from collections.abc import Callable

from undiced.validation import published_runs as runs
from undiced.validation.lab import Lab, Run
from undiced.validation.microbenchmark import (
    activation,
    column_round_trip,
    line_multicast_timed,
    rotation,
    tile_product,
)
from undiced.validation.replayed import single
from undiced.validation.row import AM, WLLM, ValidationRow

CORES = (1, 16, 64, 256, 512)
_FASTEST = {64: ("V01", (39, 53, 101, 293, 549)), 1024: ("V03", (309, 323, 371, 563, 819))}
_ONE_CYCLE = 0.026  # of the shortest multicast
_RUNS = 0.016  # forced runs of 512 and of 1,024 tokens differ by that, at most
_DIGITS = 0.002  # published as tokens per second
_KERNEL = 0.005  # means over tens of thousands of calls; what else a call does is not stated


def calibration_rows() -> list[ValidationRow]:
    """All of them; K3 is a check of what K2 identifies, and not fitted on."""
    return [*_multicasts(), *_columns(), *_kernels(), *_decode_layers(), *_engine()]


def multicast_row(
    row_id: str, payload_bytes: int, cores: int, cycles: float, late: bool, noise: float | None
) -> ValidationRow:
    """A line multicast on WSE-3, in its fastest mode or (`late`) its median one."""

    def run(lab: Lab) -> float:
        return line_multicast_timed(lab.wafer("wse3"), payload_bytes, cores, late)

    mode = "median mode" if late else "fastest mode"
    what, group = f"WSE-3 line multicast, {payload_bytes} B, {cores} cores, {mode}", f"WSE-3 line multicast, {mode}"
    aim = None if late else 0.05
    return ValidationRow(
        row_id, what, cycles, "cycles", run, tolerance=aim, noise=noise, group=group, replayed=single(row_id)
    )


def column_row(words: int, cycles: float, noise: float | None) -> ValidationRow:
    """A column of 256 cores to one of them and back, word by word."""

    def run(lab: Lab) -> float:
        return column_round_trip(lab.wafer("wse3"), 256, words)

    what = f"WSE-3 column of 256 to one core and back, {words} words per core"
    return ValidationRow("V07", what, cycles, "cycles", run, tolerance=0.05, noise=noise, replayed=single("V07"))


def layer(run: Run) -> Callable[[Lab], float]:
    """Cycles of a layer."""
    return lambda lab: lab.report(run).layer_cycles


def interval(run: Run) -> Callable[[Lab], float]:
    """Cycles between tokens of the pipeline."""
    return lambda lab: lab.report(run).stage_interval_cycles


def token(run: Run) -> Callable[[Lab], float]:
    """Cycles of a whole token, head and feedback included."""
    return lambda lab: lab.report(run).token_cycles


def _multicasts() -> list[ValidationRow]:
    return [
        multicast_row(row_id, payload_bytes, cores, cycles, False, _ONE_CYCLE)
        for payload_bytes, (row_id, values) in _FASTEST.items()
        for cores, cycles in zip(CORES, values, strict=True)
    ]


def _columns() -> list[ValidationRow]:
    return [column_row(4, 63.1e3, _DIGITS), column_row(512, 11.37e6, _DIGITS)]


def _kernels() -> list[ValidationRow]:
    return [
        ValidationRow(
            "K1",
            "tile product, mean of 192 looped multiply-adds of two elements in 12 iterations, WSE-3",
            1_148.19,
            "cycles",
            lambda lab: tile_product(lab.wafer("wse3"), 192, 12, 2),
            tolerance=0.05,
            noise=_KERNEL,
        ),
        ValidationRow(
            "K2",
            "rotation, mean of 3 pairs by 6 straight-line operations of two elements, WSE-3",
            576.25,
            "cycles",
            lambda lab: rotation(lab.wafer("wse3"), 3, 2),
            tolerance=0.05,
            noise=_KERNEL,
        ),
        ValidationRow(
            "K3",
            "silu of 16 elements, 20 to 27 operations (11 multiplications, 12 additions assumed), WSE-3: checks K2",
            855.0,
            "cycles",
            lambda lab: activation(lab.wafer("wse3"), 11, 12, 16),
            noise=0.15,
        ),
    ]


def _decode_layers() -> list[ValidationRow]:
    def row(row_id: str, what: str, cycles: float, run: Run, tolerance: float = 0.05) -> ValidationRow:
        return ValidationRow(
            row_id, what, cycles, "cycles", layer(run), WLLM, clock="1.1 GHz", tolerance=tolerance, noise=_DIGITS
        )

    eight, large = "llama-3-8b", "qwen2-72b"
    return [
        row("V14", "WaferLLM 8B decode layer, 420 x 420, WSE-2", 12_732, runs.waferllm(eight, 420)),
        row("V18a", "WaferLLM 72B decode layer, 420 x 420, WSE-2", 16_375, runs.waferllm(large, 420)),
        row(
            "V21a",
            "WaferLLM 8B prefill layer, 4,096 tokens, 480 x 480, WSE-2",
            6.93e6,
            runs.waferllm_prompt(eight, 480),
            0.10,
        ),
    ]


def _engine() -> list[ValidationRow]:
    return [
        ValidationRow(
            "S29",
            "waferengine, 8 stages of 256 x 256, forced tokens, mean context 1,536: cycles between tokens, WSE-3",
            55_701,
            "cycles",
            interval(runs.forced(True, 1024)),
            AM,
            tolerance=0.05,
            noise=_RUNS,
        ),
        ValidationRow(
            "S27",
            "the same array, free tokens, mean context 1,056: a full token",
            476_404,
            "cycles",
            token(runs.free(True, 1024)),
            AM,
            tolerance=0.05,
            noise=_RUNS,
        ),
    ]
