"""The books of the page pool are checked when the engine is idle: after work, now and then, and a fault ends it."""

from __future__ import annotations

import pytest
from support.fake import FakeBackend

from undiced.core.errors import EngineError
from undiced.remote.engine_process import Inspection
from undiced.serve import GREEDY, Request
from undiced.serve.loop import EngineLoop


@pytest.fixture
def loop() -> EngineLoop:
    loop = EngineLoop(FakeBackend())
    list(loop.run([Request("a", (1, 2, 3), 40, GREEDY)]))
    return loop


def due(inspection: Inspection) -> None:
    inspection.wanted = True
    inspection.make()


def test_nothing_is_due_before_something_was_computed(loop: EngineLoop) -> None:
    assert Inspection(loop).due_s() is None


def test_books_that_are_right_pass_and_the_next_check_is_far(loop: EngineLoop) -> None:
    inspection = Inspection(loop)
    due(inspection)
    assert inspection.due_s() is None
    inspection.wanted = True
    assert 50 < inspection.due_s() <= 60


def lose(loop: EngineLoop) -> None:
    loop.scheduler.pool.allocate()


def double(loop: EngineLoop) -> None:
    loop.scheduler.pool._blank.append(loop.scheduler.pool._blank[0])


def mislead(loop: EngineLoop) -> None:
    digest, _ = loop.scheduler.pool._found.popitem()
    loop.scheduler.pool._found[digest[::-1]] = 0


@pytest.mark.parametrize("damage", [lose, double, mislead])
def test_books_that_are_wrong_are_a_failure_of_the_engine(loop: EngineLoop, damage) -> None:
    damage(loop)
    with pytest.raises(EngineError, match="The page pool is damaged"):
        due(Inspection(loop))
