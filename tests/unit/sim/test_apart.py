"""Keys and values that go from the wafers of prompts to those that decode."""

from dataclasses import replace

import pytest
from support.mesh_configs import DENSE, LATENT

from undiced.compiler.wafer.search import compile_graph
from undiced.compiler.wafer.task import Options
from undiced.machine import find_machine
from undiced.machine.constant import Constant
from undiced.model import build_config
from undiced.program import Bounds
from undiced.sim.apart import handed_over, kv_bytes
from undiced.sim.prompt import time_prompt

TOY = find_machine("toy-12x12")
HZ = 1e9


def program(config, machine=TOY, region=(12, 12)):
    options = Options(bounds=Bounds(1, 64), region=region, chunk=8, phase="prefill", alone=True, objective="interval",
                      wafers=2)  # fmt: skip
    return compile_graph(build_config(config), machine, options)


def test_keys_and_values_are_the_models_however_cores_repeat_them():
    for region in ((12, 12), (6, 6)):
        found = kv_bytes(program(DENSE, region=region))
        assert sum(found.values()) == DENSE.layers * 2 * DENSE.kv_heads * DENSE.head_dim * 2
    latent = kv_bytes(program(LATENT))
    assert sum(latent.values()) == LATENT.layers * (LATENT.mla.kv_rank + LATENT.mla.rope_dim) * 2


def _with(**values):
    system = replace(
        TOY.system,
        **{name: Constant(value, "1", "assumed", "a test", value, value) for name, value in values.items()},
    )
    return replace(TOY, system=system)


def test_the_last_chunk_waits_for_those_before_it_where_the_way_out_is_narrow():
    made = program(DENSE)
    prompt = time_prompt(made, TOY, 64, HZ)
    wide, narrow = _with(io_bytes_per_s=1e15), _with(io_bytes_per_s=1e6)
    fast, slow = (handed_over(made, machine, prompt, HZ) for machine in (wide, narrow))
    distance = 2 * 24 * TOY.link.hop_cycles.value / HZ
    assert fast.after_first_token_s == pytest.approx(TOY.system.wafer_to_wafer_s.value + distance, rel=1e-3)
    most = 64 * max(kv_bytes(made).values())
    assert slow.after_first_token_s > most / 1e6 - prompt.cycles / HZ, "all of it through the narrow way"
    assert slow.bytes == fast.bytes == 64 * sum(kv_bytes(made).values())
    assert slow.by_host_s == fast.by_host_s > TOY.system.launch_s.value
