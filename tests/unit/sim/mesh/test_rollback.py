"""Wrong guesses on an emulated mesh: what they leave in caches is overwritten before anything attends to it."""

import numpy as np
import pytest
from support.mesh_models import CONTEXT, executor, prompt, reference
from support.tiny_models import case_names

from undiced.program.wafer.rings import tokens_ahead


def guessed(mesh, tokens, first, wrong):
    """(tokens, vocab) logits of a text that is taken token by token; before each of those behind `first` there were
    `wrong` guesses, which have been taken back."""
    found = [mesh.step([(0, tokens[:first])]).logits]
    for token in tokens[first:]:
        vain = [(token + 7 * (1 + number)) % mesh.program.vocab for number in range(wrong)]
        length = mesh.length(0)
        for each in vain:
            mesh.step([(0, [each])])
        mesh._lengths[0] = length  # the next row takes the first one's position
        found.append(mesh.step([(0, [token])]).logits)
    return np.concatenate(found)


@pytest.mark.parametrize("family", case_names())
def test_wrong_guesses_leave_no_trace_as_far_as_rings_keep_positions(family):
    tokens, wrong = prompt(family, 11), 4
    mesh = executor(family, 4, 3, chunk=wrong)
    assert tokens_ahead(mesh.program) in (wrong, CONTEXT)
    found, wanted = guessed(mesh, tokens, 3, wrong), reference(family, tokens)
    assert np.abs(found - wanted).max() < 0.02 * wanted.std()


def test_a_ring_that_keeps_fewer_positions_loses_some_and_is_known_for_it():
    name = "gemma3"
    tokens = prompt(name, 12)
    mesh = executor(name, 4, 3, chunk=4)
    assert tokens_ahead(mesh.program) == mesh.most_tokens_each == 4
    wanted = reference(name, tokens)
    assert np.abs(guessed(mesh, tokens, 3, 4) - wanted).max() < 0.02 * wanted.std()
    short = executor(name, 4, 3, chunk=2)
    assert tokens_ahead(short.program) == 2
    assert np.abs(guessed(short, tokens, 2, 6) - wanted).max() > 0.1 * wanted.std()
