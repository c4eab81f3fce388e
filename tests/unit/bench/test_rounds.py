"""Works, their least, and what rounds make of seconds: against numbers that can be checked by hand."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from undiced.bench.rounds import Limits, Rounds, measure
from undiced.bench.work import WORKS, Work, least
from undiced.program import KvLayer
from undiced.program.host.instruction import Attention
from undiced.program.host.latent_instruction import LatentAttention
from undiced.program.host.program import Buffer

FACTS = {"layer_matmul_macs_per_token": 1e6, "matmul_macs_per_token": 1.5e6, "matmul_bytes_per_token": 2e6}
KV = (KvLayer(2, 8), KvLayer(2, 8, window=100))
PROGRAM = SimpleNamespace(fact=FACTS.__getitem__, kv=KV, instrs=(), buffers=())
POSITION = 2 * 2 * 8 * 2  # bytes of one position in one layer


def test_a_decode_step_reads_all_weights_and_the_positions_that_its_layers_see() -> None:
    one = least(Work("x", 1, 1000, 1, 1), PROGRAM)
    assert one.nbytes == 2e6 + (1001 + 100) * POSITION
    assert one.operations == 2 * 1.5e6
    two = least(Work("x", 3, 1000, 1, 2), PROGRAM)
    assert two.nbytes == 2 * 2e6 + 3 * (1001 + 1002 + 2 * 100) * POSITION
    assert two.operations == 6 * one.operations


def test_a_prompt_reads_weights_once_a_step_and_needs_no_head() -> None:
    prompt = least(Work("x", 1, 0, 512, 2, drawn=False), PROGRAM)
    assert prompt.nbytes == 2 * 2e6 + (512 + 1024 + 512 + 611) * POSITION
    assert prompt.operations == 2 * 1e6 * 1024
    assert prompt.intensity == prompt.operations / prompt.nbytes


def attention(heads: int, **more: int) -> Attention:
    given = {"dst": 0, "q": 1, "kv_layer": 0, "start": 0, "kv_heads": 2, "head_dim": 8, "window": 0, "softcap": 0}
    return Attention(**given | {"heads": heads, "scale": 1} | more)  # type: ignore[arg-type]


def test_attention_multiplies_queries_with_keys_and_weights_with_values_as_far_as_layers_look_back() -> None:
    latent = LatentAttention(dst=0, q=1, turned=1, kv_layer=0, heads=3, rank=16, nope=8, rope=4, scale=1)
    cases = (  # instruction, products of one position, positions that tokens 50 to 99 see, and that 74 and 99 see
        (attention(4), 4 * 2 * 8, sum(range(51, 101)), 75 + 100),
        (attention(4, window=70), 4 * 2 * 8, sum(range(51, 71)) + 30 * 70, 70 + 70),
        (attention(4, chunk=64), 4 * 2 * 8, sum(range(51, 65)) + sum(range(1, 37)), 11 + 36),
        (latent, 3 * (16 + 4 + 16), sum(range(51, 101)), 75 + 100),
    )
    for work in (Work("x", 2, 50, 25, 2), Work("x", 2, 50, 25, 2, drawn=False)):
        without = least(work, PROGRAM).operations
        for instruction, each, seen, last in cases:
            for rows, attended in (("tokens", seen), ("samples", last if work.drawn else 0)):
                program = SimpleNamespace(
                    **vars(PROGRAM) | {"instrs": [instruction], "buffers": [Buffer("x", 1, rows)]}
                )
                assert least(work, program).operations - without == 2 * 2 * each * attended


def test_the_roofline_is_the_slower_of_both_limits() -> None:
    floor = least(Work("x", 1, 0, 1, 1), PROGRAM)
    assert floor.seconds(1e9, 1e15) == floor.nbytes / 1e9
    assert floor.seconds(1e15, 1e9) == floor.operations / 1e9


def test_shares_are_taken_round_by_round_and_figures_are_medians() -> None:
    work = Work("x", 1, 0, 1, 10)
    floor = least(work, PROGRAM)
    limits = [Limits(1e9, 1e15), Limits(2e9, 1e15), Limits(4e9, 1e15)]
    seconds = [2 * floor.nbytes / limit.bytes_per_s for limit in limits]  # always half of what there was
    (found,) = Rounds(PROGRAM, [work], limits, {work: seconds}).measured()
    assert found.share == pytest.approx(0.5) and found.bound == "memory"
    assert found.tokens_per_second == pytest.approx(10 / seconds[1])
    assert (found.low, found.high) == (pytest.approx(10 / seconds[0]), pytest.approx(10 / seconds[2]))
    limits = [replace(limit, operations_per_s=1e3) for limit in limits]
    (found,) = Rounds(PROGRAM, [work], limits, {work: seconds}).measured()
    assert found.bound == "arithmetic"


def test_every_round_measures_limits_and_all_works_and_says_how_far_it_is() -> None:
    ran: list[str] = []
    shares: list[float] = []
    bench = SimpleNamespace(program=PROGRAM, run=lambda work: ran.append(work.name) or 1.0)

    def limits() -> Limits:
        ran.append("limits")
        return Limits(1e9, 1e12)

    works = WORKS[:3]
    found = measure(bench, works, 2, limits, lambda share, _: shares.append(share))
    names = [work.name for work in works]
    assert ran == [*names, "limits", *names, "limits", *names[1:], names[0]]
    assert all(len(seconds) == 2 for seconds in found.seconds.values()) and len(found.limits) == 2
    assert shares == sorted(shares) and shares[-1] < 1
