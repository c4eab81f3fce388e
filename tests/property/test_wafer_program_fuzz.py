"""Files of wafer programs, mutated: they load, run a step on a small mesh and are timed, or end in one clear error.

The mutations are drawn by seed, so that a failure names its input.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from support.bounded import within
from support.mesh_configs import DENSE
from support.mesh_models import randomly, tiny
from support.meshes import compile_mesh

from undiced.compiler.wafer.lower.choices import LEAN
from undiced.compiler.wafer.published.asked import Asked
from undiced.compiler.wafer.published.build import build_whole
from undiced.compiler.wafer.published.waferllm import waferllm_prompt
from undiced.compiler.wafer.search import compile_graph
from undiced.compiler.wafer.task import Options
from undiced.core.errors import UndicedError
from undiced.machine.arithmetic import banks
from undiced.machine.presets import toy
from undiced.program import Bounds
from undiced.program.artifact import sealed
from undiced.program.file import decode
from undiced.program.wafer.meetings import meetings
from undiced.program.wafer.program import WaferProgram
from undiced.sim.clock import time_step
from undiced.sim.mesh.executor import MeshExecutor

BYTES = 1 << 30
NUMBERS = (0, 1, 2, 3, -1, 7, 255, 65535, 1 << 20, (1 << 63) - 1, 1e308, -0.5)
COUNTS = [pytest.param(25), pytest.param(10_000, marks=[pytest.mark.slow, pytest.mark.timeout(7200)])]
WAFER = toy(12, 12)


def programs() -> list[tuple[WaferProgram, dict[str, Any]]]:
    """Small ones of two families, of published mappings, and one that went through all passes; with their weights."""
    found = []
    for name, groups in (("llama", 1), ("qwen3-moe", 1), ("qwen3-moe", 2)):
        graph, weights = tiny(name)
        program = compile_mesh(graph, 3, 4, cuts=(3,), context=16, choices=LEAN, groups=groups)
        found.append((msgspec.structs.replace(program, machine_digest=WAFER.digest), weights))
    graph, weights = randomly(replace(DENSE, tied=True))
    narrow = Options(bounds=Bounds(1, 16), region=(6, 6), code_bytes=(1 << 20) - 1200)
    found.append((compile_graph(graph, WAFER, narrow), weights))
    graph, weights = tiny("qwen3")
    found.append((build_whole(graph, WAFER, "waferengine", (4, 3), Bounds(1, 16), 8), weights))
    graph, weights = randomly(replace(DENSE, heads=1, kv_heads=1))
    found.append((waferllm_prompt(Asked(graph, WAFER, 3, 3, 1, Bounds(1, 5))), weights))
    return found


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of all numbers, names and lists of a nested value."""
    if isinstance(value, dict):
        return [leaf for key, each in value.items() for leaf in leaves(each, (*path, key))]
    if isinstance(value, list):
        return [path, *(leaf for n, each in enumerate(value) for leaf in leaves(each, (*path, n)))]
    return [path]


def mutated(content: Any, paths: list[tuple[Any, ...]], draw: random.Random) -> Any:
    """One leaf replaced by a number, by another leaf of its field's name, or a list cut short; the rest is shared."""
    path = draw.choice([p for p in paths if p])
    others = [p for p in paths if p[-1] == path[-1]]

    def changed(value: Any, left: tuple[Any, ...]) -> Any:
        if not left:
            return new(value)
        copied = dict(value) if isinstance(value, dict) else list(value)
        copied[left[0]] = changed(value[left[0]], left[1:])
        return copied

    def new(value: Any) -> Any:
        if isinstance(value, list) and value:
            at = draw.randrange(len(value))
            return draw.choice((value[:at], value[:at] + value[at + 1 :], [*value, value[at]]))
        if isinstance(value, (int, float)) and draw.random() < 0.6:
            number = draw.choice((*NUMBERS, value + 1, value * 2, -value))
            return float(number) if isinstance(value, float) else int(min(number, (1 << 63) - 1))
        return at_path(content, draw.choice(others))

    return changed(content, path)


def at_path(content: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        content = content[key]
    return content


def taken(data: bytes, weights: dict[str, Any]) -> None:
    """All that a program is for: loaded, executed, timed, and reported on."""
    program = decode(data, "mine")
    assert isinstance(program, WaferProgram)
    MeshExecutor(program, weights.__getitem__).step([(0, [1, 2])])
    time_step(program, WAFER)
    meetings(program, banks(WAFER.core))


@pytest.mark.parametrize("count", COUNTS)
def test_mutated_programs_end_in_a_step_and_a_time_or_one_error(count: int) -> None:
    found = []
    for program, weights in programs():
        content = msgspec.msgpack.decode(program.payload)
        found.append((content, leaves(content), weights))
    outcomes = {"step": 0, "error": 0}
    for seed in range(count):
        draw = random.Random(seed)
        content, paths, weights = draw.choice(found)
        data = sealed(msgspec.msgpack.encode(mutated(content, paths, draw)))
        with within(f"seed {seed}", BYTES):
            try:
                taken(data, weights)
                outcomes["step"] += 1
            except UndicedError as error:
                assert error.message
                outcomes["error"] += 1
    assert min(outcomes.values()) > count // 20, outcomes


@pytest.mark.parametrize("count", COUNTS)
def test_programs_of_any_bytes_end_in_one_error(count: int) -> None:
    program, weights = programs()[0]
    whole = program.payload
    for seed in range(count):
        draw, data = random.Random(seed), bytearray(whole)
        for _ in range(draw.choice((1, 2, 8))):
            at = draw.randrange(len(data))
            data[at : at + draw.choice((0, 1, 1, 4))] = draw.randbytes(draw.choice((0, 1, 1, 4)))
        with within(f"seed {seed}", BYTES):
            try:
                taken(sealed(bytes(data)), weights)
            except UndicedError as error:
                assert error.message
