"""Programs that the map is tried on: each mapping, tied and untied heads, experts, latent attention, cut blocks.

Small models on small machines, compiled once a process.
"""

from dataclasses import replace
from functools import cache

from support.mesh_configs import LATENT, MIXED

from undiced.compiler.wafer.published.build import build_published
from undiced.compiler.wafer.search import compile_graph
from undiced.compiler.wafer.task import Options
from undiced.core.mapping import MappingOptions
from undiced.machine import find_machine
from undiced.model import build_config, preset
from undiced.program import Bounds
from undiced.sim.atlas.atlas import Atlas, atlas
from undiced.sim.atlas.links import simulate_links


def ours(config, machine, context=256, **options):
    wafer = find_machine(machine)
    return compile_graph(build_config(config), wafer, Options(bounds=Bounds(1, context), **options)), wafer


def published(name, mapping, **options):
    wafer = find_machine("wse3")
    return build_published(name, wafer, mapping, MappingOptions(**options)), wafer


MADE = {
    "one wafer": lambda: ours(preset("llama-3.1-8b"), "wse3", 4096, region=(179, 512)),
    "several wafers": lambda: ours(preset("smollm2-135m"), "toy-24x24:350K", 4096, region=(24, 24)),
    "mixture": lambda: ours(
        replace(LATENT, layers=1, moe=replace(MIXED.moe, layers=(0,))), "toy-9x9", 64, region=(9, 9)
    ),
    "waferengine": lambda: published("qwen3-1.7b", "waferengine", region=(256, 256), stages=(7,) * 4),
    "waferllm": lambda: published("llama-3.1-8b", "waferllm", region=(320, 320), context=4096),
    "prompt": lambda: published("llama-3.1-8b", "waferllm", region=(480, 480), context=2048, phase="prefill"),
}


@cache
def made(name):
    """A program and its machine."""
    return MADE[name]()


@cache
def mapped(name) -> Atlas:
    """Its atlas."""
    return atlas(*made(name))


@cache
def linked(name) -> Atlas:
    """Its atlas with what links carry for a layer."""
    program, wafer = made(name)
    return atlas(program, wafer, links=simulate_links(program, wafer, program.bounds.context))
