"""Every family of models, core by core, beside the graph interpreter; on meshes that divide none of its sizes."""

import numpy as np
import pytest
from support.mesh_models import executor, forced, prompt, reference, tiny
from support.tiny_models import case_names

BOUND = 2e-3  # of logits whose standard deviation is about 1.5: functions are good to 1e-4
MESHES = [(1, 1, ()), (5, 7, ()), (6, 4, (2,))]  # rows, columns, where further regions begin


MIXTURES = [
    "deepseek-v2",
    "deepseek-v2-lite",
    "deepseek-v3",
    "gpt-oss",
    "gpt-oss-clamped",
    "llama4",
    "mixtral",
    "qwen3-moe",
]


@pytest.mark.parametrize(("rows", "columns", "cuts"), MESHES)
@pytest.mark.parametrize("name", case_names())
def test_a_mesh_computes_what_the_graph_says(name, rows, columns, cuts):
    tokens = prompt(name)
    wanted = reference(name, tokens)
    found = forced(executor(name, rows, columns, cuts=cuts), tokens)
    assert np.abs(found - wanted).max() < BOUND * max(1.0, float(wanted.std()))
    assert (found.argmax(axis=1) == wanted.argmax(axis=1)).all()


@pytest.mark.parametrize(("rows", "columns", "cuts", "groups"), [(5, 7, (), 3), (6, 4, (2,), 2)])
@pytest.mark.parametrize("name", MIXTURES)
def test_a_mesh_computes_it_with_experts_on_columns_of_their_own(name, rows, columns, cuts, groups):
    tokens = prompt(name)
    wanted = reference(name, tokens)
    found = forced(executor(name, rows, columns, cuts=cuts, groups=groups), tokens)
    assert np.abs(found - wanted).max() < BOUND * max(1.0, float(wanted.std()))
    assert (found.argmax(axis=1) == wanted.argmax(axis=1)).all()


def test_every_mixture_is_among_them():
    wide = ("-wide",)  # the same shapes with experts that a host's cores can share
    assert [name for name in case_names() if tiny(name)[0].config.moe and not name.endswith(wide)] == MIXTURES
