"""A server with accounts that answers for ten minutes: its memory stays what it was."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from houses import house, see_that_each_was_counted_once
from support.customers import Customers
from support.databases import PEPPER

pytestmark = pytest.mark.wire
SECONDS = float(os.environ.get("UNDICED_TESTS_SOAK_S", "600"))
WARM_UP_SHARE = 0.3
GROWTH_MOST = 5 << 20


def resident(process: int) -> int:
    """Bytes of its own that a process has in memory."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(("Private_Dirty", "Private_Clean")))


@pytest.mark.slow
@pytest.mark.timeout(20_000)
def test_a_server_that_answers_for_long_needs_no_more_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDICED_PEPPER", PEPPER)
    with house(str(tmp_path / "accounts.db"), tmp_path) as home:
        customers = Customers(home.serve(), home.key, "tiny")
        assert home.server is not None
        process = home.server.process.pid
        customers.come(4)
        time.sleep(WARM_UP_SHARE * SECONDS)
        samples = [resident(process)]
        for _ in range(10):
            time.sleep((1 - WARM_UP_SHARE) * SECONDS / 10)
            samples.append(resident(process))
        customers.leave()
        home.stop()
        print("bytes", samples)
        assert customers.failures == []
        assert see_that_each_was_counted_once(home.books, customers)["settled"] > SECONDS
        assert max(samples) - samples[0] <= GROWTH_MOST, samples
