"""A prompt among decodes: what is known by hand, and limits that hold for any cycles."""

from random import Random

import pytest

from undiced.core.errors import CompileError
from undiced.sim.interleave import interleave
from undiced.sim.prompt import piped


def ways(chunks):
    return [tuple(enumerate(chunk)) for chunk in chunks]


def test_one_place_serves_a_token_after_every_chunk():
    found = interleave(ways([(10.0,)] * 5), ((0, 3.0),), 1)
    assert found.alone_cycles == 3.0
    assert found.longest_cycles == 13.0, "a chunk that had come before it, then its own"
    assert found.first_token_cycles == 3 + 5 * 10 + 4 * 3, "a token that had begun, and one after each chunk"


def test_users_of_a_short_pipeline_wait_for_each_other_too():
    found = interleave(ways([(4.0, 4.0)]), ((0, 1.0), (1, 1.0)), 6)
    assert found.alone_cycles == pytest.approx(6.0), "six users share two places of a cycle each"
    assert found.longest_cycles <= 6 + 2 * 4


@pytest.mark.parametrize("seed", range(6))
def test_nobody_waits_longer_than_a_chunk_at_every_place_and_nothing_is_lost(seed):
    random = Random(seed)
    places, count, users = random.randint(1, 5), random.randint(1, 9), random.randint(1, 4)
    chunks = [tuple(random.uniform(1, 9) for _ in range(places)) for _ in range(count)]
    token = tuple((place, random.uniform(0.1, 2)) for place in range(places))
    found = interleave(ways(chunks), token, users)
    idle, own = piped(chunks), sum(cycles for _, cycles in token)
    assert found.first_token_cycles >= idle - 1e-9
    assert own - 1e-9 <= found.mean_cycles <= found.longest_cycles
    worst = sum(max(chunk[place] for chunk in chunks) + users * cycles for place, cycles in token)
    assert found.longest_cycles <= worst + 1e-9


def test_without_users_there_is_nothing_to_tell():
    with pytest.raises(CompileError, match="Nobody decodes"):
        interleave(ways([(1.0,)]), ((0, 1.0),), 0)
