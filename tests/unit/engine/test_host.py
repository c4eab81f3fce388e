"""HostBackend's refusals: memory that is not there, and a checkpoint that is not the program's."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import NoReturn

import pytest
from msgspec import structs
from msgspec.structs import replace
from support import tiny_models

from undiced import _native
from undiced.checkpoint import Checkpoint, open_checkpoint
from undiced.compiler import compile
from undiced.core.errors import CheckpointError, CompileError, EngineError, UnsupportedError
from undiced.engine.host import HostBackend
from undiced.machine.host import host
from undiced.model import build
from undiced.program import Bounds, HostProgram


@pytest.fixture
def tiny(tmp_path: Path) -> tuple[HostProgram, Checkpoint]:
    checkpoint = open_checkpoint(tiny_models.make_folder(tiny_models.load_case("llama"), tmp_path / "llama"))
    return compile(build(checkpoint), host(1), Bounds(1, 64)), checkpoint


def test_too_little_memory_is_said_with_a_way_out(
    tiny: tuple[HostProgram, Checkpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: object, **options: int) -> NoReturn:
        raise MemoryError("std::bad_alloc")

    monkeypatch.setattr(_native, "Engine", exhausted)
    with pytest.raises(
        EngineError, match=r"does not fit into memory: std::bad_alloc.*max_batch.* or a shorter context"
    ):
        HostBackend(*tiny)


def test_more_pages_than_any_machine_has_are_refused(tiny: tuple[HostProgram, Checkpoint]) -> None:
    with pytest.raises(UnsupportedError, match=r"MiB; this machine has|too large"):
        HostBackend(*tiny, pages=1 << 30)


@pytest.mark.parametrize("change", [{"format": "Q8_0"}, {"columns": 64}])
def test_another_models_checkpoint_is_refused(tiny: tuple[HostProgram, Checkpoint], change: dict[str, object]) -> None:
    program, checkpoint = tiny
    at = next(i for i, slot in enumerate(program.slots) if slot.rows > 1)
    slots = list(program.slots)
    slots[at] = structs.replace(slots[at], **change)  # type: ignore[arg-type]
    with pytest.raises((CheckpointError, CompileError), match=r"weights of this program|Instruction"):
        HostBackend(replace(program, slots=tuple(slots)), checkpoint)


def test_widths_that_no_step_could_hold_are_refused_before_room_is_made(tiny: tuple[HostProgram, Checkpoint]) -> None:
    program, checkpoint = tiny
    wide = replace(program, buffers=(replace(program.buffers[0], width=1 << 20), *program.buffers[1:]))
    with pytest.raises(EngineError, match=r"takes 1024 MiB for the activations of 256 tokens; 1024 MiB are allowed"):
        HostBackend(wide, checkpoint, max_tokens=256)


@pytest.mark.parametrize(("threads", "tokens"), [(1, 128), (2, 128), (3, 192), (5, 256)])
def test_a_step_has_room_for_what_keeps_its_threads_at_work(
    tiny: tuple[HostProgram, Checkpoint], threads: int, tokens: int
) -> None:
    program, checkpoint = tiny
    batch = program.bounds.batch
    for asked, given in ((None, tokens + batch), (7, 7), (0, batch)):
        backend = HostBackend(program, checkpoint, threads=threads, max_tokens=asked)
        try:
            assert backend.limits.max_tokens == given
        finally:
            backend.close()


def test_experts_get_steps_of_more_tokens_however_few_threads_there_are(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(tiny_models.make_folder(tiny_models.load_case("mixtral-wide"), tmp_path / "mixtral"))
    backend = HostBackend(compile(build(checkpoint), host(1), Bounds(1, 64)), checkpoint)
    assert backend.limits.max_tokens == 256 + 1
    backend.close()


@pytest.mark.model
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system does not tell what is resident")
def test_a_first_step_takes_no_memory_for_logits_of_prompts_that_nobody_scores() -> None:
    checkpoint = open_checkpoint("smollm2-135m")
    program = compile(build(checkpoint), host(2), Bounds(1, 64))
    backend = HostBackend(program, checkpoint)
    try:
        before = resident_bytes()
        backend.warm_up()
        used = backend.memory()["buffers"] - backend.limits.scored_rows * program.vocab * 4
        assert resident_bytes() - before < used + (4 << 20)
    finally:
        backend.close()


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
