"""What shapes share: programs are the same as when every pass runs for every shape."""

import pytest
from support.mesh_configs import DENSE, LATENT, MIXED

from undiced.compiler.wafer import passes, search
from undiced.compiler.wafer.draft import Draft
from undiced.compiler.wafer.lower.grid import Grid
from undiced.compiler.wafer.search import compile_graph
from undiced.compiler.wafer.shapes import Shape
from undiced.compiler.wafer.task import Options, Task
from undiced.machine.presets import toy
from undiced.model import build_config
from undiced.program import Bounds
from undiced.program.wafer.instruction import Return

TIGHT = toy(12, 10, 24 << 10)


class Forgetful(dict):
    """Knows nothing, whatever it was told."""

    def __contains__(self, key):
        return False


def forgetting(monkeypatch):
    made = Task.of

    def of(*args):
        task = made(*args)
        object.__setattr__(task, "known_drafts", Forgetful())
        object.__setattr__(task, "known_cycles", Forgetful())
        return task

    monkeypatch.setattr(Task, "of", of)


@pytest.mark.parametrize("config", [DENSE, MIXED, LATENT], ids=["dense", "mixed", "latent"])
@pytest.mark.parametrize("objective", ["latency", "interval"])
def test_programs_are_those_of_passes_that_run_for_every_shape(config, objective, monkeypatch):
    graph, options = build_config(config), Options(bounds=Bounds(1, 64), objective=objective)
    monkeypatch.setattr(search, "_WRITTEN", 6)
    monkeypatch.setattr(search, "_FINISHED", 2)
    shared = compile_graph(graph, TIGHT, options)
    forgetting(monkeypatch)
    assert compile_graph(graph, TIGHT, options) == shared


def test_drafts_of_a_grid_are_laid_once_and_know_their_own_shape():
    task = Task.of(build_config(DENSE), TIGHT, Options(bounds=Bounds(1, 64)))
    asked = [(turned, wafers) for turned in (False, True) for wafers in (1, 2)]
    drafts = [passes.sized(Draft(task, Shape(Grid(5, 6), turned), wafers)) for turned, wafers in asked]
    assert len(task.known_drafts) == 1
    assert [(draft.shape.turned, draft.wafers) for draft in drafts] == asked
    assert all(draft.written is drafts[0].written for draft in drafts)
    away = [[i.off_wafer for s in draft.streams for i in s.instructions if isinstance(i, Return)] for draft in drafts]
    assert away == [[False], [True], [False], [True]]  # from one wafer alone no token returns to another
