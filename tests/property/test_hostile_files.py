"""Damaged model files of every kind, through the whole reading path: one clear error or a usable model, within 5 s of
processor time and 1 GiB. A few hundred of each kind always, 20,000 of each in the long run.
"""

from __future__ import annotations

import logging
import multiprocessing
import resource
import traceback
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from support import gguf_writer, hostile
from support.bounded import within

FEW, MANY, AT_ONCE = 140, 20_000, 2_000
KINDS = [
    "gguf",
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "model.safetensors.index.json",
    "model-00001-of-00002.safetensors",
]


def _work(kind: str, seeds: range, folder: Path, told: Connection) -> None:
    """In a process of its own: reads every case, and tells how many were read whole and what went wrong."""
    logging.disable()
    hostile.read(hostile.make_folder(hostile.random.Random(0), folder / "warm", "config.json"), folder)
    room = _virtual_bytes() + hostile.BYTES
    resource.setrlimit(resource.RLIMIT_AS, (room, room))
    whole, wrong = 0, []
    for seed in seeds:
        path = hostile.case(seed, kind, folder, gguf_writer)
        try:
            with within(f"{kind} seed {seed}", hostile.BYTES, hostile.SECONDS):
                whole += hostile.read(path, folder / "cache") == "read"
        except BaseException:
            wrong.append(f"{kind} seed {seed}:\n{traceback.format_exc()[-1500:]}")
    told.send((whole, wrong[:5]))


def _virtual_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def survive(kind: str, seeds: range, folder: Path) -> None:
    told, telling = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(target=_work, args=(kind, seeds, folder, telling))
    process.start()
    telling.close()
    try:
        whole, wrong = told.recv()
    except EOFError:
        whole, wrong = 0, [f"the process ended without a word on {kind} {seeds}"]
    process.join()
    assert not wrong, "\n".join(wrong)
    assert 0 < whole < len(seeds), "damage should neither always nor never be fatal"


@pytest.mark.parametrize("kind", KINDS)
def test_a_few_hundred_damaged_files(tmp_path: Path, kind: str) -> None:
    survive(kind, range(FEW), tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("start", range(FEW, FEW + MANY, AT_ONCE))
@pytest.mark.parametrize("kind", KINDS)
def test_twenty_thousand_damaged_files(tmp_path: Path, kind: str, start: int) -> None:
    survive(kind, range(start, start + AT_ONCE), tmp_path)
