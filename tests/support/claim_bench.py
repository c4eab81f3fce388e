"""A bench whose programs and timings are said instead of made: what changed figures do to verdicts."""

from dataclasses import replace
from types import SimpleNamespace

from msgspec.structs import replace as restruct

from undiced.machine import find_machine
from undiced.machine.cost import ZERO
from undiced.machine.gpu import find_gpu
from undiced.model import build_config, preset
from undiced.program import Rect
from undiced.program.wafer.step import Step
from undiced.sim.clock import RegionTime, Timing
from undiced.study.claims.bench import Bench
from undiced.study.gpu_group import Group
from undiced.study.variants import Timings

WAFER = find_machine("wse3")
OVER = SimpleNamespace(ends_hz=(0.85e9, 1.1e9), clocks_hz=(1e9,), words="as said")
_GRAPHS, _GROUPS = {}, {}


def timing(token_cycles, interval_cycles, stages=()):
    """A token of so many cycles at 1 GHz; `stages`: cycles of each, one on a wafer."""
    rect = Rect(0, 0, 100, 100)
    costs = [{("node", "Kind"): restruct(ZERO, compute=cycles)} for cycles in stages]
    each = tuple(RegionTime(str(n), n, rect, cost, 0.0, 0.0, frozenset()) for n, cost in enumerate(costs))
    return Timing("wse3", 1e9, Step(1, 1, 1), each, token_cycles, interval_cycles, interval_cycles, 1.0, len(stages))


def timings(*tokens_per_second, interval_cycles=1e4):
    """One draw for each speed, at 1 GHz."""
    each = tuple(timing(1e9 / speed, interval_cycles) for speed in tokens_per_second)
    return Timings(each, each, (0.0,) * len(each))


class SaidBench(Bench):
    """Speeds of models by name, on a machine; one region of 100 x 100 cores on each of so many wafers."""

    def __init__(self, speeds=None, wafer=WAFER, wafers=8, code_bytes=16_500):
        super().__init__()
        self.__dict__ |= {"wafer": wafer, "over": OVER}
        self._speeds = speeds or {}
        region = SimpleNamespace(wafer=0, rect=Rect(0, 0, 100, 100))
        self._said = SimpleNamespace(wafers=wafers, regions=[region], fact=lambda name: code_bytes, model="", chunk=16)

    def graph(self, model):
        return _GRAPHS.setdefault(model, build_config(preset(model)))

    def group(self, gpu, count, model):
        return _GROUPS.setdefault((gpu, count, model), Group(find_gpu(gpu), count, self.graph(model)))

    def program(self, model, **how):
        return SimpleNamespace(**{**vars(self._said), "model": model})

    def prompt_program(self, model, **how):
        return self.program(model)

    def prompt_cycles(self, program, tokens):
        return self.time(program).first_token_s(tokens) * 1e9

    def time(self, program, context=0):
        return self._speeds.get(program.model) or timings(1000, 1100)


def with_core(**fields):
    """WSE-3 with other figures of its core."""
    core = WAFER.core
    changed = {name: replace(getattr(core, name), value=value) for name, value in fields.items()}
    return replace(WAFER, core=replace(core, **changed))


def with_mesh(**fields):
    """WSE-3 with other figures of its mesh."""
    mesh = WAFER.mesh
    changed = {name: replace(getattr(mesh, name), value=value) for name, value in fields.items()}
    return replace(WAFER, mesh=replace(mesh, **changed))
