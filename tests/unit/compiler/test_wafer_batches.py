"""Batches: what a program holds for its sequences, that lockstep changes no token, and what several of them take."""

from dataclasses import replace

import numpy as np
import pytest
from support.mesh_configs import DENSE, mixed
from support.mesh_models import randomly
from support.meshes import compile_mesh

from undiced.compiler.wafer.lower.choices import LEAN
from undiced.compiler.wafer.published.build import build_published
from undiced.compiler.wafer.search import compile_graph
from undiced.compiler.wafer.task import Options
from undiced.core.errors import CompileError
from undiced.core.mapping import MappingOptions
from undiced.machine import find_machine
from undiced.program import Bounds
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.program import WaferProgram
from undiced.program.wafer.share import Shares, values_of
from undiced.program.wafer.step import Step
from undiced.program.wafer.value import DType, Kind
from undiced.program.wafer.verify import verify
from undiced.program.wafer.workload import work
from undiced.sim.clock import time_step
from undiced.sim.mesh.executor import MeshExecutor

TOY = find_machine("toy-8x8")
PROMPTS = ([3, 17, 36, 0, 8], [5, 1], [30, 22, 9], [12, 12, 12, 12])


def compiled(config, batch, lanes, context=64, **how):
    return compile_graph(randomly(config)[0], TOY, Options(Bounds(batch, context), lanes=lanes, **how))


def continued(mesh, prompts, count=6):
    """Tokens after each prompt, all of them in one batch."""
    made = [[] for _ in prompts]
    work = [(number, tokens) for number, tokens in enumerate(prompts)]
    for _ in range(count):
        rows = np.cumsum([len(tokens) for _, tokens in work]) - 1
        result = mesh.step(work)
        for number, row in enumerate(rows):
            made[number].append(result.tokens[row])
        work = [(number, [tokens[-1]]) for number, tokens in enumerate(made)]
    return made


@pytest.mark.parametrize("config", [DENSE, mixed(shared_ffn=9), replace(DENSE, windows=(0, 6))])
@pytest.mark.parametrize(("batch", "lanes"), [(4, 1), (4, 2), (4, 4)])
def test_sequences_of_a_batch_get_the_tokens_that_they_get_alone(config, batch, lanes):
    graph, weights = randomly(config)
    program = compile_graph(graph, TOY, Options(Bounds(batch, 64), lanes=lanes, ahead=8))
    verify(program)
    together = continued(MeshExecutor(program, weights.__getitem__), PROMPTS)
    alone = [continued(MeshExecutor(program, weights.__getitem__), [prompt])[0] for prompt in PROMPTS]
    assert together == alone


def test_a_program_holds_keys_and_values_of_every_sequence_and_scratch_of_those_together():
    one, four, lockstep = (compiled(DENSE, batch, lanes) for batch, lanes in ((1, 1), (4, 1), (4, 4)))
    assert len({(each.regions[0].rect, each.wafers) for each in (one, four, lockstep)}) == 1

    def caches(program):
        shares = [Shares(values_of(program, s), program.trees) for s in program.streams]
        held = [(sh, v) for sh, s in zip(shares, program.streams, strict=True) for v in s.values]
        return sum(sh.size(v.name) * 2 for sh, v in held if v.kind is Kind.CACHE)

    used = [each.fact("sram_bytes_max_per_core") for each in (one, four, lockstep)]
    more = (used[1] - used[0]) / 3
    assert more == pytest.approx(2 * caches(one), rel=0.25), "two layers share a stream; blocks are whole periods"
    assert used[2] > used[1], "activations of four tokens"


def test_lockstep_shares_the_steps_of_its_sums_and_nothing_else():
    four, lockstep = compiled(DENSE, 4, 1), compiled(DENSE, 4, 4, region=(8, 8))
    step = Step(4, 1, 64)
    turns, together = time_step(four, TOY, step), time_step(lockstep, TOY, step)
    alone = time_step(four, TOY, Step(1, 1, 64))
    assert turns.token_cycles == pytest.approx(alone.token_cycles + 3 * alone.initiation_interval_cycles)
    assert alone.token_cycles < together.token_cycles < 4 * alone.token_cycles
    assert together.initiation_interval_cycles < turns.initiation_interval_cycles


def test_rows_of_integers_are_widened_once_for_all_that_go_together():
    program = compiled(DENSE, 4, 4, choices=replace(LEAN, weights=DType.I8))

    def unpacked(size):
        total = 0
        for stream in program.streams:
            shares = Shares(values_of(program, stream), program.trees, Step(size, 1, 64))
            products = (i for i in stream.instructions if isinstance(i, isa.Product))
            vectors = (v for i in products for v in work(i, shares).vectors)
            total += sum(v.count for v in vectors if v.arithmetic not in ("multiply_add", "multiply", "convert"))
        return total

    assert unpacked(4) == unpacked(1) > 0


def grouped() -> WaferProgram:
    program = compile_mesh(randomly(mixed(top_k=4, ffn=3))[0], 3, 8, context=32, groups=4)
    verify(program)
    return program


def expert_operations(program, step):
    total = 0
    for stream in program.streams:
        shares = Shares(values_of(program, stream), program.trees, step)
        for i in stream.instructions:
            if getattr(i, "expert", ""):
                total += sum(v.count for v in work(i, shares).vectors if v.arithmetic == "multiply_add")
    return total


def test_the_fullest_group_works_on_its_part_of_all_choices():
    program = grouped()
    whole = expert_operations(program, Step(4, 1, 32))
    counts = [expert_operations(program, Step(4, 1, 32, crowd)) for crowd in (1.0, 0.75, 0.5, 0.25)]
    assert counts[0] == whole
    for crowd, count in zip((0.75, 0.5, 0.25), counts[1:], strict=True):
        assert crowd * whole <= count <= crowd * whole + 8
    assert expert_operations(compiled(mixed(), 4, 4, region=(8, 8)), Step(4, 1, 32, 0.25)) == expert_operations(
        compiled(mixed(), 4, 4, region=(8, 8)), Step(4, 1, 32)
    ), "where every core has a part of every expert, nothing crowds"


@pytest.mark.parametrize("shares", [(0.0, 1.0), (1.5, 1.0), (1.0, 0.0)])
def test_shares_of_choices_are_shares(shares):
    with pytest.raises(CompileError, match="are no shares"):
        Step(1, 1, 8, *shares)


def test_more_in_lockstep_than_there_are_is_refused_with_both_numbers():
    with pytest.raises(CompileError, match="8 of 4 sequences can't go in lockstep") as told:
        MappingOptions(batch=4, lockstep=8)
    assert "lockstep=4" in told.value.remedy and "batch=8" in told.value.remedy
    with pytest.raises(CompileError, match="whole batch of 4 in lockstep, not 2"):
        build_published("qwen3-1.7b", find_machine("wse3"), "waferengine", MappingOptions(batch=4, lockstep=2))
