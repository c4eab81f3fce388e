"""Benchmarks beside peers: what records come to, and that a worker does what it is asked. Knows no peer."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import subprocess
import sys
import tarfile
import venv
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest
from support.markdown import ROOT


def record(speed: float, peers: dict[str, float], **more: object) -> dict:
    """A run of three rounds: ours decodes at `speed`, and each is a tenth slower or faster in one round."""
    sides = {
        name: {"version": f"{name}==1", "figures": {"decode": [each * 0.9, each, each * 1.1], "peak memory": [each]}}
        for name, each in {"Undiced": speed, **peers}.items()
    }
    facts = {"bench": "peers", "date": "2026-11-01", "cpu": "C", "cores": 2, "isa": "avx2", "threads": 2, "file": "f",
             "commit": "c", "rounds": 3, "busy_share": 0.0, "bytes_per_token": 1e6, "missing": {},
             "limits": {"bytes_per_s": 1e9}}  # fmt: skip
    return facts | {"sides": sides} | more


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("peer_report")


def test_a_figure_is_the_median_of_runs_with_the_range_of_all_rounds(report: ModuleType) -> None:
    runs = [record(100, {}), record(300, {}), record(110, {})]
    cell = report.cells(runs)["Undiced"]["decode"]
    assert (cell.value, cell.low, cell.high) == (pytest.approx(110), pytest.approx(90), pytest.approx(330))


def test_the_fastest_peer_is_named_and_less_memory_is_better(report: ModuleType) -> None:
    table = report.cells([record(100, {"a": 40, "b": 50})])
    assert report.fastest(table, "decode") == "b" and report.lead(table, "decode") == pytest.approx(2)
    assert report.fastest(table, "peak memory") == "a" and report.lead(table, "peak memory") == pytest.approx(0.4)
    page = report.readme([record(100, {"a": 40, "b": 50}, missing={"z": "no wheel"})])
    assert "| decode | 100 (90 to 110) | 40 (36 to 44) | 50 (45 to 55) | **2.00x** b |" in page
    assert "z is missing in a run on 2026-11-01: no wheel" in page and "One day and one machine" in page
    assert "10% of the 1.0 GB/s" in page  # 100 tokens of 1 MB
    assert "One day" not in report.readme([record(1, {"a": 1}), record(1, {"a": 1}, date="2026-11-02")])


def test_sides_are_compared_within_each_run_since_machines_differ(report: ModuleType) -> None:
    slow, fast = record(100, {"a": 40, "b": 50}), record(600, {"a": 200, "b": 100}, isa="avx512")
    cell, peers = report.leads([slow, fast, fast], "decode")
    assert (cell.value, cell.low, cell.high) == (pytest.approx(3), pytest.approx(2), pytest.approx(3))
    assert peers == ["a", "b"] and report.leads([record(100, {})], "decode") is None
    page = report.readme([slow, fast, fast])
    assert "| **3.00x** a; b (2.00 to 3.00 by run) |" in page and "two machines" in page
    assert "at 60% (10% to 60% by run) of the 1.0 GB/s" in page
    ours, a, b = report.bars([slow, fast, fast]).bars
    assert (ours.end, ours.low, ours.high) == (pytest.approx(3), pytest.approx(1.8), pytest.approx(3.3))
    assert (a.end, b.end) == (pytest.approx(1), pytest.approx(0.5))


def test_a_disturbed_run_counts_only_where_there_is_no_other(report: ModuleType) -> None:
    good, bad = record(100, {"a": 50}), record(7, {"a": 50}, busy_share=0.5)
    assert report.counted([bad, good]) == [good] and report.counted([bad]) == [bad]
    assert "others took up to 50%" in report.readme([bad]) and "others took" not in report.readme([good])


def test_quality_stands_below_the_speeds_of_those_that_it_knows(report: ModuleType) -> None:
    sides = {"Undiced": {"mean_kl": 0.002, "top1": 0.974, "predictions": 765}}
    judged = {"bench": "peers quality", "commit": "c0ffee", "isa": "avx2", "sides": sides}
    page = report.readme([record(100, {"a": 50}), judged])
    told = "mean KL, nat / likeliest token agrees (765 predictions, c0ffee, avx2)"
    assert f"| {told} | 0.0020 / 97.4% | - | |" in page


def test_the_picture_has_every_side_of_every_work(report: ModuleType) -> None:
    bars = report.bars([record(100, {"a": 40, "b": 50})])
    assert [(bar.end, bar.kind) for bar in bars.bars] == [(2, 0), (0.8, 1), (1, 2)] and bars.kinds == (
        "Undiced",
        "a",
        "b",
    )


@pytest.mark.model
def test_our_worker_answers_as_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    sides = importlib.import_module("peer_sides")
    command = (sys.executable, str(ROOT / "benchmarks" / "peer_workers" / "on_undiced.py"), "smollm2-135m")
    worker = sides.Worker(sides.Side("Undiced", command, "1", "", "", 0), 1, 3, 64)
    try:
        assert worker.first_token_s([1, 2, 3]) > 0
        one = worker.generate([[1, 2, 3]], 4)
        assert 0 < one["first_s"] < one["all_s"] and len(one["tokens"][0]) == 4
        three = worker.generate([[1, 2, 3]] * 3, 4)
        assert three["tokens"] == one["tokens"] * 3 and worker.peak_bytes() > 1e7
    finally:
        worker.close()


def test_a_worker_that_ends_is_told_with_its_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    sides = importlib.import_module("peer_sides")
    side = sides.Side("x", (sys.executable, "-c", "import sys; sys.exit('out of luck')"), "1", "", "", 0)
    worker = sides.Worker(side, 1, 1, 1)
    with pytest.raises(sides.WorkerError, match="x ended with 1: out of luck"):
        worker.ready()
    worker.close()


def test_a_peer_that_can_not_be_had_is_named_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    peers, peer = (importlib.import_module(name) for name in ("peers", "peer"))

    def broken(file: Path) -> None:
        peer.run([sys.executable, "-c", "print('no such wheel'); raise SystemExit(3)"])

    monkeypatch.setitem(peers.MAKERS, "broken", broken)
    sides, missing = peers.installed(["broken"], Path("file"))
    assert sides == [] and missing == {"broken": f"{Path(sys.executable).name}: no such wheel"}
    assert json.dumps(missing)


def test_prompts_are_other_ones_every_time_and_of_their_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    prompts = importlib.import_module("peers").Prompts(range(20_000))
    taken = [tuple(ids) for _ in range(5) for ids in prompts.take(8, 512)]
    assert len(set(taken)) == 40 and all(len(ids) == 512 for ids in taken)


def test_each_call_is_made_without_and_within_the_disturbance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    peers, kinds, calls = (importlib.import_module(name) for name in ("peers", "peer_sides", "peer_calls"))
    taken: list[str] = []

    class Worker:
        def __init__(self, side: object, *_: int) -> None: ...
        def ready(self) -> None: ...
        def close(self) -> None:
            taken.append("closed")

        def generate(self, prompts: list[list[int]], count: int) -> dict:
            slower = 2.0 if taken[-1:] == ["core"] else 1.0
            return {"tokens": [[1] * count for _ in prompts], "first_s": slower, "all_s": 2 * slower}

    @contextlib.contextmanager
    def disturbed() -> Iterator[None]:
        taken.append("core")
        yield
        taken.append("free")

    monkeypatch.setattr(peers, "Worker", Worker)
    run = peers.Run([kinds.Side("Undiced", (), "", "", "", 0)], range(5000), 2, calls.SHORT)
    found = run.measure_disturbed(3, disturbed)
    assert taken == ["core", "free"] * 3 + ["closed"]
    assert found["Undiced"]["prefill 512"] == [256] * 3 and run.rows["Undiced"]["prefill 512"] == [512] * 3


def _refuse(*_: object, **__: object) -> None:
    raise subprocess.CalledProcessError(1, ["python", "-m", "ensurepip"])


def test_whatever_keeps_a_peer_from_being_installed_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No pip for an environment; a package without an archive, with one that is none, and with another one."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    peers, peer = importlib.import_module("peers"), importlib.import_module("peer")
    monkeypatch.setenv("UNDICED_PEERS", str(tmp_path / "peers"))
    monkeypatch.setattr(venv, "create", _refuse)
    _, missing = peers.installed(["openvino"], Path("file"))
    assert "ensurepip" in missing["openvino"]
    for archive in (None, b"not a tar file", _tar("readme")):
        monkeypatch.setattr(peer, "run", partial(_download, archive))
        sides, missing = peers.installed(["llama.cpp"], Path("file"))
        assert sides == [] and missing["llama.cpp"], archive
    assert "llama.cpp can't be installed" in capsys.readouterr().err


def _download(archive: bytes | None, command: list[object]) -> None:
    if archive is not None and "download" in command:
        (Path(str(command[command.index("--dest") + 1])) / "llama.tar.gz").write_bytes(archive)


def _tar(name: str) -> bytes:
    room = io.BytesIO()
    with tarfile.open(fileobj=room, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo(name))
    return room.getvalue()
