"""Prompts at level 2: rows that the host sends, tiles that pass around rings, scores that are not attended to."""

from dataclasses import replace

import numpy as np
import pytest
from support.fabric_prompts import alone, prompted, sent
from support.fabric_simulators import LIMIT, differences, native
from support.fabric_steps import differing
from support.fabric_twin import twin
from support.mesh_configs import DENSE
from support.mesh_cores import cores, execute

from undiced.machine import wse2, wse3
from undiced.machine.timeline import critical_path
from undiced.model import RopeConfig
from undiced.program import Bounds, Rect
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import PROMPT, Dim, Shard
from undiced.program.wafer.program import Region, Run, Stream, WaferProgram
from undiced.program.wafer.value import DType, Kind, Value
from undiced.sim.fabric.hardware import Hardware
from undiced.sim.fabric.lower import image
from undiced.sim.fabric.lower.lower import lower
from undiced.sim.fabric.simulate import simulate

ONE_HEAD = replace(DENSE, layers=1, heads=1, kv_heads=1, head_dim=12, rope=RopeConfig(theta=1e4, dims=12))
TOKENS = [5, 11, 3, 36, 0, 7, 7, 20, 14]
KINDS = {
    "plain": {},
    "windows": {"layers": 2, "windows": (4, 0)},
    "chunks": {"windows": (5,), "chunked": True, "qkv_bias": True},
    "caps": {"attn_softcap": 5.0, "activation": "gelu_tanh", "embed_scale": 1.5},
}


@pytest.mark.parametrize(
    ("side", "kind", "wafer"),
    [
        (3, "plain", wse2),
        (4, "windows", wse3),
        (5, "chunks", wse2),
        (6, "caps", wse2),
        *(
            pytest.param(side, "plain", wafer, marks=pytest.mark.slow)
            for side in (2, 6, 7, 8)
            for wafer in (wse2, wse3)
        ),
    ],
)
def test_every_instruction_of_a_prompt_has_the_bits_of_level_1(side, kind, wafer):
    program, moments = prompted(replace(ONE_HEAD, **KINDS[kind]), side, TOKENS)
    found = set()
    for number, run in enumerate(program.regions[0].runs):
        made = lower(program, 0, [number], token=0, position=0, wafer=wafer())
        mine = [moment for moment in moments if moment.run == number]
        memory = made.memory([sent(moments, number, made.frames[0])])
        for piece, moment in zip(made.pieces, mine, strict=True):  # each on what level 2 itself has left
            outcome = simulate(alone(made, piece), Hardware.of(wafer()), memory=memory, threads=1)
            assert outcome.status == "finished", outcome.waiting[:3]
            assert not differing(made.frames[0], memory, moment), (program.streams[run.stream].name, moment.instruction)
            found.add(type(moment.instruction))
    assert {isa.Read, isa.ShiftProduct, isa.ShiftScores, isa.Causal, isa.Select, isa.Reduce, isa.Multicast} <= found


@pytest.mark.parametrize(
    ("side", "wafer"), [(4, wse3), (3, wse2), *(pytest.param(6, w, marks=pytest.mark.slow) for w in (wse2, wse3))]
)
def test_a_whole_prompt_chooses_as_level_1_does_and_takes_about_the_time_of_the_closed_forms(side, wafer):
    program, moments = prompted(replace(ONE_HEAD, layers=2), side, TOKENS)
    runs = range(len(program.regions[0].runs))
    made = lower(program, 0, runs, token=0, position=0, wafer=wafer())
    memory = made.memory([sent(moments, number, frame) for number, frame in zip(runs, made.frames, strict=True)])
    outcome = simulate(made.program, Hardware.of(wafer()), memory=memory)
    assert outcome.status == "finished"
    assert not differing(made.frames[-1], memory, moments[-1])
    assert moments[-1].instruction.result == "token"
    clock = sum(
        critical_path(wafer(), s.instructions, f.shares, wafer().system.clock_hz.value, synchronous=True).cost.cycles
        for f, s in zip(made.frames, made.streams, strict=True)
    )
    assert outcome.cycles == pytest.approx(clock, rel=0.15)


@pytest.mark.slow
@pytest.mark.parametrize(("side", "wafer"), [(2, wse2), (3, wse3)])
def test_a_whole_prompt_has_one_outcome(side, wafer):
    """The obvious twin finds every field of it, cycle by cycle."""
    program, moments = prompted(ONE_HEAD, side, TOKENS)
    runs = range(len(program.regions[0].runs))
    made = lower(program, 0, runs, token=0, position=0, wafer=wafer())
    memory = made.memory([sent(moments, number, frame) for number, frame in zip(runs, made.frames, strict=True)])
    slow = twin(made.program, Hardware.of(wafer()), memory=memory, limit=LIMIT)
    assert slow.status == "finished"
    for threads in (1, 2, 3):
        fast = native(made.program, Hardware.of(wafer()), memory=memory, threads=threads)
        assert differences(fast, slow) == []


@pytest.mark.parametrize("ids", [DType.F32, DType.F16])
def test_elements_are_picked_where_ids_in_memory_say(ids):
    choices, experts = (Dim("token", 3), Dim("choice", 4)), (Dim("token", 3), Dim("expert", 5))
    rows, wanted = (Shard("token", 2),), np.array([[[4, 0, 1, 1], [2, 2, 3, 0], [0, 4, 4, 1]]])
    values = (
        Value("ids", choices, ids, rows, (), Kind.STATE),
        Value("a", experts, DType.F16, rows, (), Kind.STATE),
        Value("picked", choices, DType.F32, rows),
    )
    pick = isa.Pick("n", "picked", "a", "ids", "expert")
    one = cores(2, 3, values, {"ids": wanted, "a": np.arange(15).reshape(1, 3, 5)}, numbers="wafer")
    execute(one, pick)
    region = Region("r", 0, Rect(0, 0, 3, 2), (Run(0),))
    stream = Stream("picks", values, (pick,))
    made = lower(
        WaferProgram("m", "toy", "", "", Bounds(1, 8), (region,), (stream,), (), (), 1), 0, [0], token=0, position=0,
        wafer=wse3(),
    )  # fmt: skip
    memory = made.memory([{name: one.arrays[name][:, :, 0] for name in ("ids", "a")}])
    outcome = simulate(made.program, Hardware.of(wse3()), memory=memory, threads=1)
    level1, level2 = one.full(one.read("picked"))[:, :, 0], image.read(memory, made.frames[0], "picked")
    seen = np.isfinite(level1)
    assert seen.sum() == 3 * 4 * 4  # padding too
    np.testing.assert_array_equal(level2[seen], level1[seen])
    assert outcome.cycles == pytest.approx(critical_path(wse3(), [pick], made.frames[0].shares, 1e9).cost.cycles)


def test_a_core_takes_what_the_host_has_sent_once_its_links_have_had_their_time():
    program, moments = prompted(ONE_HEAD, 3, TOKENS)
    made = lower(program, 0, [0], token=0, position=0, wafer=wse2(), upto=1)
    memory = made.memory([sent(moments, 0, made.frames[0])])
    outcome = simulate(made.program, Hardware.of(wse2()), memory=memory, threads=1)
    (value,) = (v for v in program.streams[0].values if v.name == "embedded")
    assert [dim.name for dim in value.dims][1] == PROMPT
    system, size = wse2().system, 4 * value.dims[0].size * value.dims[1].size
    host = size / system.host_to_device_bytes_per_s.value * system.clock_hz.value
    assert host < outcome.cycles < host + 100
