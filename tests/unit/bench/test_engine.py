"""EngineBench: what a work looks back on is there before it is timed."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import tiny_models

from undiced.bench.engine import EngineBench
from undiced.bench.work import Work
from undiced.checkpoint import open_checkpoint
from undiced.compiler import compile
from undiced.engine.backend import AnyStep, Submitted
from undiced.machine.host import host
from undiced.model import build
from undiced.program import Bounds


def test_every_position_of_a_context_is_read_once_before_the_first_work_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = open_checkpoint(tiny_models.make_folder(tiny_models.load_case("llama"), tmp_path / "model"))
    short, long = Work("short", 2, 8, 1, 4), Work("long", 1, 40, 1, 4)
    bench = EngineBench(compile(build(checkpoint), host(1), Bounds(2, 48), "f16"), checkpoint, [short, long])
    done: list[tuple[list[int], list[int]]] = []
    submit = bench.backend.submit

    def seen(batch: AnyStep) -> Submitted:
        done.append((batch.slots.tolist(), batch.positions.tolist()))
        return submit(batch)

    monkeypatch.setattr(bench.backend, "submit", seen)
    steps = [([0, 1], [8 + step, 8 + step]) for step in range(4)]
    try:
        bench.run(short)
        assert done == [([0], [*range(8)]), ([1], [*range(8)]), *steps]
        done.clear()
        bench.run(short)
        assert done == steps
        done.clear()
        bench.run(long)
        assert done == [([0], [*range(12, 40)]), *(([0], [40 + step]) for step in range(4))]
    finally:
        bench.close()
        checkpoint.close()
