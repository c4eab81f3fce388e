"""Joules of a step: counters of packages and memory, those that begin again, and none at all."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest
from support import tiny_models

from undiced.checkpoint import open_checkpoint
from undiced.compiler import compile
from undiced.engine import energy
from undiced.engine.energy import Energy
from undiced.engine.host import HostBackend
from undiced.machine.host import host
from undiced.model import build
from undiced.program import Bounds
from undiced.serve import Request, Sampling
from undiced.serve.loop import EngineLoop

PERIOD = 262_143_328_850


def zone(folder: Path, name: str, what: str, count: int = 1_000_000, period: int = PERIOD) -> Path:
    path = folder / name
    path.mkdir(parents=True)
    (path / "name").write_text(f"{what}\n")
    (path / "max_energy_range_uj").write_text(f"{period}\n")
    (path / "energy_uj").write_text(f"{count}\n")
    return path / "energy_uj"


@pytest.fixture
def powercap(tmp_path: Path) -> Path:
    """A machine of two packages, one with memory counted beside it, and what is no part of either."""
    (tmp_path / "intel-rapl").mkdir()
    zone(tmp_path, "intel-rapl:0", "package-0")
    zone(tmp_path, "intel-rapl:0:0", "core")
    zone(tmp_path, "intel-rapl:0:1", "dram")
    zone(tmp_path, "intel-rapl:1", "package-1")
    zone(tmp_path, "intel-rapl:2", "psys")
    zone(tmp_path, "intel-rapl-mmio:0", "package-0")
    return tmp_path


def test_packages_and_their_memory_are_counted_once(powercap: Path) -> None:
    counters = Energy(powercap)
    assert counters.zones == ("package-0", "dram", "package-1")
    before = counters.counts()
    for name, more in (("0", 2_000_000), ("0:0", 7), ("0:1", 500_000), ("1", 0), ("2", 9_000_000)):
        (powercap / f"intel-rapl:{name}" / "energy_uj").write_text(f"{1_000_000 + more}\n")
    assert counters.joules(before) == pytest.approx(2.5)
    counters.close()
    counters.close()
    assert math.isnan(counters.joules(before))


def test_a_counter_that_begins_again_goes_on(tmp_path: Path) -> None:
    file = zone(tmp_path, "intel-rapl:0", "package-0", PERIOD - 400_000)
    counters = Energy(tmp_path)
    before = counters.counts()
    file.write_text("600000\n")
    assert counters.joules(before) == pytest.approx(1.0)


@pytest.mark.parametrize("damage", ["gone", "not ours", "no number", "no range"])
def test_what_can_not_be_read_is_not_known(tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = zone(tmp_path, "intel-rapl:0", "package-0", period=0 if damage == "no range" else PERIOD)
    if damage == "gone":
        file.unlink()
    elif damage == "no number":
        file.write_text("\n")
    elif damage == "not ours":  # the tests may run as root, who reads everything
        opened = os.open

        def refused(path: Path, flags: int) -> int:
            if Path(path).name == "energy_uj":
                raise PermissionError(path)
            return opened(path, flags)

        monkeypatch.setattr(energy.os, "open", refused)
    counters = Energy(tmp_path)
    assert counters.zones == () and math.isnan(counters.joules(counters.counts()))


def test_a_counter_that_fails_later_is_not_known(powercap: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counters = Energy(powercap)
    before = counters.counts()

    def fails(file: int, size: int, at: int) -> bytes:
        raise OSError("no data")

    monkeypatch.setattr(energy.os, "pread", fails)
    assert counters.counts() == () and math.isnan(counters.joules(before))


def loop_of(tmp_path: Path, powercap: Path) -> EngineLoop:
    case = tiny_models.load_case("llama")
    checkpoint = open_checkpoint(tiny_models.make_folder(case, tmp_path / "model"))
    program = compile(build(checkpoint), host(1), Bounds(2, 64))
    return EngineLoop(HostBackend(program, checkpoint, pages=8, powercap=powercap))


REQUESTS = [Request("long", tuple(range(9)), 6, Sampling()), Request("short", (1, 2, 3), 2, Sampling())]


def test_sequences_share_the_joules_of_their_steps(
    tmp_path: Path, powercap: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, calls = os.pread, []

    def later(file: int, size: int, at: int) -> bytes:
        """Half a joule more each time that a counter is read."""
        calls.append(file)
        return b"%d" % (int(read(file, size, at)) + 500_000 * calls.count(file))

    monkeypatch.setattr(energy.os, "pread", later)
    loop = loop_of(tmp_path, powercap)
    used = {delta.request_id: delta.usage for deltas in loop.run(REQUESTS) for delta in deltas if delta.usage}
    stats = loop.stats()
    loop.close()
    assert stats.joules == pytest.approx(stats.steps * 3 * 0.5) and stats.steps > 1
    assert sum(each.joules for each in used.values()) == pytest.approx(stats.joules)
    assert used["long"].joules > used["short"].joules > 0


def test_without_counters_nothing_is_known(tmp_path: Path) -> None:
    loop = loop_of(tmp_path, tmp_path / "nothing")
    used = [delta.usage for deltas in loop.run(REQUESTS) for delta in deltas if delta.usage]
    assert len(used) == 2 and all(math.isnan(each.joules) for each in used) and math.isnan(loop.stats().joules)
    loop.close()
