"""Programs for chunks: room for all tokens of one, code for both ways, and the chunk that is fastest."""

import re
from dataclasses import replace

import pytest
from support.mesh_configs import DENSE

from undiced.compiler.wafer.chunks import compile_chunked
from undiced.compiler.wafer.lower.choices import LEAN
from undiced.compiler.wafer.search import compile_graph
from undiced.compiler.wafer.task import Options
from undiced.core.errors import CompileError
from undiced.machine.presets import toy
from undiced.model import build_config
from undiced.program import Bounds
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.value import Kind
from undiced.sim.prompt import speed_of

GRAPH = build_config(replace(DENSE, name="small", layers=6, dim=64, heads=8, kv_heads=4, ffn=160, vocab=200))
BOUNDS = Bounds(1, 64)


def _chosen(machine, **options):
    asked = Options(bounds=BOUNDS, **options)
    return compile_chunked(GRAPH, machine, asked, lambda program: speed_of(program, machine))


def test_a_chunk_takes_memory_and_as_many_wafers_as_that_needs():
    machine = toy(12, 10, 32 << 10)
    options = Options(bounds=BOUNDS, region=(12, 10))
    found = [compile_graph(GRAPH, machine, replace(options, chunk=size)) for size in (1, 8, 16)]
    used = [program.fact("sram_bytes_max_per_core") for program in found]
    assert used[1] < used[2] or found[1].wafers < found[2].wafers
    assert [program.wafers for program in found] == sorted(program.wafers for program in found)
    assert [program.chunk for program in found] == [1, 8, 16]


def test_values_of_a_chunk_have_room_for_all_of_its_tokens():
    program = compile_graph(GRAPH, toy(12, 10, 64 << 10), Options(bounds=BOUNDS, chunk=16, region=(6, 5)))
    sizes = []
    for stream in program.streams:
        states = sorted((v.address, v.name) for v in stream.values if v.kind is Kind.STATE)
        hidden = next((at for at, name in states if name == "hidden"), None)
        after = [at for at, _ in states if hidden is not None and at > hidden]
        sizes += [min(after) - hidden] if after else []
    share = -(-64 // program.regions[0].rows)
    assert sizes and all(size >= 16 * 4 * share for size in sizes), "rows share 64 columns of 32 bits"


def test_a_program_for_both_has_the_code_of_both():
    machine, options = toy(12, 10, 64 << 10), Options(bounds=BOUNDS, chunk=8, region=(6, 5))
    both, alone = (compile_graph(GRAPH, machine, replace(options, alone=each)) for each in (False, True))
    assert both.fact("code_bytes") > alone.fact("code_bytes")
    assert alone.alone and not both.alone


@pytest.mark.slow
def test_the_fastest_chunk_is_taken_that_the_wafers_have_room_for():
    roomy, tight = toy(12, 10, 1 << 20), toy(12, 10, 30 << 10)
    assert _chosen(roomy, region=(12, 10)).chunk == 64
    small = _chosen(tight, wafers=2)
    assert small.wafers <= 2 and small.chunk < 64
    larger = [compile_graph(GRAPH, roomy, Options(bounds=BOUNDS, chunk=n, region=(12, 10))) for n in (4, 64)]
    assert speed_of(larger[0], roomy) < speed_of(larger[1], roomy)


@pytest.mark.slow
def test_no_room_for_any_chunk_is_said_with_what_has_room():
    machine = toy(12, 10, 23 << 10)
    least = compile_graph(GRAPH, machine, Options(bounds=BOUNDS)).wafers
    with pytest.raises(
        CompileError, match=f"{least} x toy.* holds the keys and values of no positions, not of"
    ) as caught:
        _chosen(machine, wafers=least)
    assert f"wafers={least + 1}" in caught.value.remedy and "chunk=1" in caught.value.remedy
    assert _chosen(machine, wafers=least + 1).chunk >= 4


def test_prefill_wafers_without_room_for_keys_and_values_are_told_for_how_many_they_have():
    machine = toy(12, 10, 48 << 10)
    with pytest.raises(CompileError, match=r"holds the keys and values of (\d+) positions, not of 100000") as caught:
        compile_chunked(GRAPH, machine, Options(bounds=Bounds(1, 100_000), wafers=1, alone=True), lambda program: 1.0)
    assert "context=" in caught.value.remedy and "chunk" not in caught.value.remedy


def test_a_chunk_that_is_named_is_refused_with_both_numbers():
    machine = toy(12, 10, 48 << 10)
    options = Options(bounds=Bounds(1, 100_000), wafers=1, chunk=4)
    with pytest.raises(CompileError, match=r"room for the keys and values of (\d+) positions, not of 100000") as caught:
        compile_graph(GRAPH, machine, options)
    room = re.search(r"values of (\d+)", str(caught.value))
    assert room is not None and f"context={room[1]}" in caught.value.remedy
    fitting = replace(options, bounds=Bounds(1, int(room[1])))
    assert compile_graph(GRAPH, machine, fitting).chunk == 4


def test_code_of_heads_one_after_the_other_is_a_loops():
    sizes = []
    for queries in (2, 8):
        graph = build_config(replace(DENSE, name="small", heads=queries, kv_heads=1))
        choices = replace(LEAN, head_by_head=True)
        options = Options(bounds=BOUNDS, chunk=4, choices=choices, region=(8, 1))
        sizes.append(compile_graph(graph, toy(8, 8, 1 << 20), options).fact("code_bytes"))
    assert sizes[0] == sizes[1]


def test_head_by_head_a_long_context_leaves_more_room():
    machine, graph = toy(12, 12, 1 << 20), build_config(replace(DENSE, name="small", heads=8, kv_heads=1))
    options = Options(bounds=Bounds(1, 2048), chunk=8, region=(12, 12), phase="prefill")
    choices = (LEAN, replace(LEAN, head_by_head=True))
    plain, apart = (compile_graph(graph, machine, replace(options, choices=each)) for each in choices)
    assert apart.fact("free_bytes") > plain.fact("free_bytes")


def test_products_take_the_faster_way_by_the_size_of_their_tiles():
    wide = build_config(replace(DENSE, name="wide", ffn=2048, dim=32))
    ways = {}
    for size in (2, 64):
        options = Options(bounds=BOUNDS, chunk=size, region=(12, 10), choices=LEAN)
        program = compile_graph(wide, toy(12, 10, 1 << 22), options)
        ways[size] = [
            i.singly for s in program.streams if not s.last for i in s.instructions if isinstance(i, isa.Product)
        ]
    assert any(ways[2]) and not all(ways[64]), "few tokens are short vectors, many are long ones"
    assert sum(ways[64]) < sum(ways[2])
