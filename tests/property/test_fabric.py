"""The fabric's native simulator and its obvious twin agree on random programs, field by field and cycle by cycle."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from support.fabric_random import Case, cases, seeded
from support.fabric_simulators import differences, native
from support.fabric_twin import twin
from support.fabric_twin_router import Underway

from undiced.core.errors import ProgramFileError

LIMIT = 20_000
SEEDS = [pytest.param(range(12)), pytest.param(range(12, 5_000), marks=[pytest.mark.slow, pytest.mark.timeout(3600)])]


def check(case: Case) -> None:
    """Holds one, two and three threads of the native simulator to the twin, at the end and half-way."""
    try:
        end = twin(case.program, case.hardware, memory=case.memory, limit=LIMIT)
    except Underway as fault:
        refused(case, fault)
        return
    half = twin(case.program, case.hardware, memory=case.memory, limit=end.cycles // 2)
    for slow, limit in ((end, LIMIT), (half, end.cycles // 2)):
        cycles = set()
        for threads in (1, 2, 3):
            fast = native(case.program, case.hardware, memory=case.memory, threads=threads, limit=limit)
            assert differences(fast, slow) == [], (threads, limit, fast, slow)
            cycles.add(fast.cycles)
        assert len(cycles) == 1


def refused(case: Case, fault: Underway) -> None:
    """Any number of threads finds the same router."""
    where = rf"core \({fault.place[0]}, {fault.place[1]}\), .*color {fault.color} from the {fault.port.name.lower()} is"
    for threads in (1, 2, 3):
        with pytest.raises(ProgramFileError, match=where):
            native(case.program, case.hardware, memory=case.memory, threads=threads, limit=LIMIT)


@pytest.mark.timeout(600)  # what fails is made small first
@given(case=cases())
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
def test_small_programs_have_one_outcome(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("seeds", SEEDS)
def test_programs_have_one_outcome(seeds: range) -> None:
    for seed in seeds:
        check(seeded(seed))
