"""Machine files, model dimensions and program files of wafers and of the host, mutated: one clear error or a result, in
bounded time.

The mutations are drawn by seed, so that a failure names its input.
"""

from __future__ import annotations

import copy
import hashlib
import random
import tomllib
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support import tiny_models
from support.bounded import within
from support.engines import run
from support.mesh_configs import DENSE, LATENT, MIXED

from undiced.checkpoint import Checkpoint, open_checkpoint
from undiced.compiler import compile
from undiced.compiler.wafer.published.build import build_published
from undiced.compiler.wafer.search import compile_graph
from undiced.compiler.wafer.task import Options
from undiced.core.errors import UndicedError
from undiced.core.mapping import MappingOptions, Phase
from undiced.engine.host import HostBackend
from undiced.engine.interpreter import InterpreterBackend
from undiced.machine.host import host
from undiced.machine.lookup import load_machine, parse_machine
from undiced.machine.presets import toy, wse3
from undiced.machine.wafer import Wafer
from undiced.model import ModelConfig, build, build_config
from undiced.program import Bounds, HostProgram
from undiced.program.file import decode
from undiced.sim.atlas.atlas import atlas
from undiced.sim.views.page import page
from undiced.study.program_file import open_program

FEW, MANY, COMPILED = 60, 20_000, 8
BYTES = 1 << 30
NUMBERS = (0, 1, 2, 3, -1, 7, 64, 100, 4096, 16384, 1 << 32, 10**18, 1e-12, 1e-3, 0.5, 1.5, 1e12, float("nan"))
STRANGE = (*NUMBERS, float("inf"), 10**400, True, None, "8", "", "\ud800", [], {}, [1], {"value": 3})
CONFIGS = (DENSE, MIXED, LATENT)
COMPILED_TOO = [
    pytest.param(COMPILED),
    pytest.param(125 * COMPILED, marks=[pytest.mark.slow, pytest.mark.timeout(7200)]),
]
MANY_TOO = [pytest.param(FEW), pytest.param(MANY, marks=[pytest.mark.slow, pytest.mark.timeout(7200)])]


def machine_fields() -> list[tuple[str, str]]:
    wafer = wse3()
    return [(part, f.name) for part in ("core", "mesh", "link", "system") for f in fields(getattr(wafer, part))]


def mutated_machine(draw: random.Random) -> dict[str, Any]:
    """A small mesh, so that the search is short unless a mutation makes it long."""
    data: dict[str, Any] = {"base": "wse3", "mesh": {"width": 9, "height": 9}}
    for _ in range(draw.choice((1, 1, 2, 3))):
        part, name = draw.choice(machine_fields())
        table = data.setdefault(part, {})
        if isinstance(table, dict):
            table[name] = draw.choice(STRANGE if draw.random() < 0.4 else NUMBERS)
    if draw.random() < 0.1:
        data[draw.choice(("name", "base", "core", "other"))] = draw.choice(STRANGE)
    return data


def compiled(config: ModelConfig, wafer: Wafer, draw: random.Random) -> None:
    """On a region that is given, so that a mutation costs one shape and not a search; a few are searched too."""
    region = None if draw.random() < 0.02 else (draw.choice((3, 9)), 9)
    bounds = Bounds(draw.choice((1, 1, 8)), draw.choice((1, 256, 1 << 20)))
    compile_graph(build_config(config), wafer, Options(bounds=bounds, region=region))


@pytest.mark.parametrize("count", COMPILED_TOO)
def test_machine_files_end_in_a_program_or_one_error(count: int) -> None:
    for seed in range(count):
        draw = random.Random(seed)
        data = mutated_machine(draw)
        with within(f"seed {seed}: {data}", BYTES):
            try:
                compiled(draw.choice(CONFIGS), parse_machine(data, "mine", "mine.toml"), draw)
            except UndicedError as error:
                assert error.message


@pytest.mark.parametrize("count", MANY_TOO)
def test_machine_files_of_any_bytes_end_in_one_error(count: int, tmp_path: Path) -> None:
    whole = Path(__file__).parents[1] / "support" / "machine.toml"
    path = tmp_path / "mine.toml"
    tomllib.loads(whole.read_text())
    for seed in range(count):
        draw, data = random.Random(seed), bytearray(whole.read_bytes())
        for _ in range(draw.choice((1, 2, 8))):
            at = draw.randrange(len(data))
            data[at : at + draw.choice((0, 1, 1, 4))] = draw.choice((b"", b"[", b'"', b"=", b"9" * 40, b"\xff", b"\n"))
        path.write_bytes(data)
        with within(f"seed {seed}", BYTES):
            try:
                load_machine(path)
            except UndicedError as error:
                assert error.message


@pytest.mark.parametrize("count", COMPILED_TOO)
def test_sizes_end_in_a_program_or_one_error(count: int) -> None:
    wafer, names = toy(9, 9), ("layers", "dim", "heads", "kv_heads", "head_dim", "ffn", "vocab", "context")
    for seed in range(count):
        draw = random.Random(seed)
        sizes = {
            name: draw.choice((0, 1, 3, 7, 64, 1 << 12, -5)) for name in draw.sample(names, draw.choice((1, 1, 2)))
        }
        with within(f"seed {seed}: {sizes}", BYTES):
            try:
                compiled(replace(draw.choice(CONFIGS), **sizes), wafer, draw)
            except UndicedError as error:
                assert error.message


def mutated(value: Any, draw: random.Random) -> Any:
    """One leaf of a nested value replaced, or one list shortened."""
    if isinstance(value, dict) and value:
        key = draw.choice(list(value))
        return {**value, key: mutated(value[key], draw)}
    if isinstance(value, list) and value and draw.random() < 0.95:
        at = draw.randrange(len(value))
        return value[:at] if draw.random() < 0.05 else [*value[:at], mutated(value[at], draw), *value[at + 1 :]]
    if isinstance(value, (int, float)) and draw.random() < 0.9:
        return draw.choice((0, 1, -1, value + 1, value * 2, -value, 1 << 20, (1 << 63) - 1, 1e308, 255, 65535))
    return draw.choice((None, "x", [], 1, "undiced"))


@pytest.mark.parametrize("count", MANY_TOO)
@pytest.mark.parametrize("mapping", ["waferengine", "waferllm"])  # decoding, and a whole prompt
def test_program_files_with_a_right_checksum_end_in_a_figure_or_one_error(
    mapping: str, count: int, tmp_path: Path
) -> None:
    wafer = toy(9, 9)
    path = tmp_path / "program"
    phase: Phase = "decode" if mapping == "waferengine" else "prefill"
    options = MappingOptions(region=(9, 9), groups=3, context=64, phase=phase)
    build_published(DENSE, wafer, mapping, options).save(path)
    whole = path.read_bytes()
    content = msgspec.msgpack.decode(whole[12:-32])
    for seed in range(count):
        draw = random.Random(seed)
        changed = mutated(copy.deepcopy(content), draw)
        data = whole[:12] + msgspec.msgpack.encode(changed)
        path.write_bytes(data + hashlib.sha256(data).digest())
        with within(f"seed {seed}", BYTES):
            try:
                opened = open_program(path, "toy-9x9")
                with opened.computing():
                    page(atlas(opened.program, opened.wafer), "layers")
            except UndicedError as error:
                assert error.message


def started(program: HostProgram, checkpoint: Checkpoint) -> None:
    """Both executors compute a step; what they find is their own affair, that they come back is not."""
    for backend in (
        InterpreterBackend(program, checkpoint, pages=4, max_tokens=8),
        HostBackend(program, checkpoint, threads=1, pages=4, max_tokens=8),
    ):
        try:
            run(backend, program, [[1, 2, 3]], 8, range(4))
        finally:
            backend.close()


@pytest.mark.parametrize("count", MANY_TOO)
@pytest.mark.parametrize("name", ["gemma3", "gpt2"])  # between them every instruction but SCALE
def test_host_programs_with_a_right_checksum_end_in_a_step_or_one_error(name: str, count: int, tmp_path: Path) -> None:
    checkpoint = open_checkpoint(tiny_models.make_folder(tiny_models.load_case(name), tmp_path / name))
    whole = compile(build(checkpoint), host(1), Bounds(2, 48)).encoded()
    content = msgspec.msgpack.decode(whole[12:-32])
    instrs = content.pop("instrs")
    outcomes = {"step": 0, "error": 0}
    for seed in range(count):
        draw = random.Random(seed)
        changed = {**content, "instrs": instrs}
        changed |= mutated(content, draw) if draw.random() < 0.3 else {"instrs": mutated(instrs, draw)}
        data = whole[:12] + msgspec.msgpack.encode(changed)
        with within(f"{name}, seed {seed}", BYTES):
            try:
                program = decode(data + hashlib.sha256(data).digest(), "mine")
                assert isinstance(program, HostProgram)
                started(program, checkpoint)
                outcomes["step"] += 1
            except UndicedError as error:
                assert error.message
                outcomes["error"] += 1
    assert min(outcomes.values()) > count // 20, outcomes
