"""How main memory is divided between engines."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from undiced.core.errors import CompileError
from undiced.core.manifest import WeightSlot
from undiced.engine.pool import pool_bytes, pools
from undiced.program import Bounds, KvLayer

BOUNDS = Bounds(4, 64)


@dataclass(frozen=True)
class Program:
    """As much of a host program as memory depends on; its page has 1,024 bytes and it takes 4,000 of weights."""

    model: str = "tiny"
    bounds: Bounds = BOUNDS
    kv: tuple[KvLayer, ...] = (KvLayer(1, 8),)
    slots: tuple[WeightSlot, ...] = (WeightSlot("w", 10, 100, "F32"),)


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch):
    return lambda count: monkeypatch.setattr("undiced.engine.pool.main_memory_bytes", lambda: count)


def test_a_page_holds_keys_and_values_of_all_layers() -> None:
    assert pool_bytes(Program(), 3) == 3 * 1024
    assert pool_bytes(Program(kv=(KvLayer(1, 8), KvLayer(2, 16))), 1) == 1024 + 4096
    assert pool_bytes(Program(kv=(KvLayer(1, 8, latent=True),)), 1) == 512
    assert pool_bytes(Program(kv=(KvLayer(2, 40, type="int8"),)), 1) == 32 * 2 * (40 + 2 * 2 + 40 + 2)


def test_where_there_is_room_each_gets_all_it_could_use(memory) -> None:
    memory(1 << 20)
    assert pools([Program()]) == [8]
    assert pools([Program(), Program(bounds=Bounds(2, 320))]) == [8, 20]


def test_pages_have_a_quarter_of_memory_together_and_are_divided_by_use(memory) -> None:
    large = Program(bounds=Bounds(64, 64))
    memory(4 * 1024 * 70)
    assert pools([large]) == [70]
    one, other = pools([large, Program(bounds=Bounds(32, 64))])
    assert 68 <= one + other <= 70 and one == pytest.approx(2 * other, abs=3)


def test_weights_go_first_and_everybody_gets_a_sequence(memory) -> None:
    programs = [Program(), Program(bounds=Bounds(64, 64))]
    memory(8000 + 10 * 1024)
    assert sum(pools(programs)) <= 10
    memory(8000 + 4 * 1024)
    assert pools(programs) == [2, 2]


def test_what_does_not_fit_is_refused_with_every_figure(memory) -> None:
    memory(8000 + 4 * 1024 - 1)
    with pytest.raises(CompileError, match="main memory") as refused:
        pools([Program("one"), Program("two")])
    assert "one: 0.00 GB of weights" in refused.value.message and "two: " in refused.value.message
    assert "max_context=1024" in refused.value.remedy
