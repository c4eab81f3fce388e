"""Groups of GPUs: what fits, what more of them and more sequences do, and prompts that come between steps."""

import numpy as np
import pytest

from undiced.core.errors import CompileError
from undiced.machine.gpu import find_gpu
from undiced.model import build_config, preset
from undiced.study.gpu_group import Group, counts

GRAPH = build_config(preset("llama-3.1-8b"))


def group(count=8, bits=16, gpu="h100"):
    return Group(find_gpu(gpu), count, GRAPH, bits)


def test_the_most_sequences_are_the_last_that_fit():
    one = group(1)
    most = one.most(4096)
    assert one.holds(most, 4096) and not one.holds(most + 1, 4096)
    weights, cached = 2 * GRAPH.parameters, 2 * 32 * 2 * 1024 * 4096
    assert most == pytest.approx((80e9 * 0.9 - weights) // cached, abs=1)
    assert group(1, bits=8).most(4096) > 2 * most - 10


def test_nothing_beats_what_memory_and_arithmetic_take():
    for sequences in (1, 64):
        each = group()
        assert each.token_s(sequences, 2048).min() > each.least_token_s(sequences, 2048)


def test_more_sequences_slow_each_and_speed_all():
    each = group()
    few, many = (np.median(each.token_s(n, 2048)) for n in (1, 128))
    assert few < many < 128 * few


def test_prompts_of_others_come_between_steps():
    each = group()
    plain, shared = np.median(each.token_s(64, 1250)), np.median(each.shared_token_s(64, 1000, 500))
    assert shared - plain == pytest.approx(np.median(each.prompt_s(1000)) * 64 / 500, rel=0.05)


def test_power_and_price_are_shares_of_a_server():
    assert group(16).power_w == 2 * group(8).power_w == 20_400
    assert group(4).price_usd == (100e3, 200e3)
    assert counts() == (1, 2, 4, 8, 16)


@pytest.mark.parametrize("count", [0, 17])
def test_more_gpus_than_are_compared_are_refused(count):
    with pytest.raises(CompileError, match="out of range"):
        group(count)
