"""Opening a backend from what it was promised: this program, these weights, these files, or none at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs
from support import tiny_models
from support.mesh_models import tiny
from support.meshes import compile_mesh

from undiced.checkpoint.identity import identity
from undiced.cli.serving.served import engine_spec
from undiced.compiled import Compiled, compile_for_host
from undiced.core.errors import CheckpointError, ProgramFileError, UnsupportedError
from undiced.engine.load import BackendOptions, open_host
from undiced.serve import Policy


@pytest.fixture
def compiled(tmp_path: Path) -> Compiled:
    folder = tiny_models.make_folder(tiny_models.load_case("llama"), tmp_path / "my model" / "llama")
    return compile_for_host(folder, threads=1, max_batch=2)


@pytest.fixture
def options(compiled: Compiled) -> BackendOptions:
    return engine_spec(compiled, Policy(max_waiting=4), "llama").options


def ignore(fraction: float, what: str) -> None:
    """Progress that nobody watches."""


def refused(options: BackendOptions) -> str:
    with pytest.raises(CheckpointError) as caught:
        open_host(options, ignore)
    return str(caught.value)


def test_what_was_promised_is_opened_and_its_progress_told(options: BackendOptions) -> None:
    told: list[tuple[float, str]] = []
    backend = open_host(options, lambda fraction, what: told.append((fraction, what)))
    try:
        assert told[-1] == (1.0, "packing weights")
        assert backend.progress() > 0  # a step has been run before anyone waits for one
    finally:
        backend.close()


def test_a_program_of_another_digest_is_refused(options: BackendOptions, compiled: Compiled) -> None:
    other = structs.replace(compiled.program, model="other").encoded()
    with pytest.raises(ProgramFileError, match="not the one that was compiled"):
        open_host(replace(options, program=other), ignore)
    with pytest.raises(ProgramFileError, match="checksum"):
        open_host(replace(options, program=options.program[:-1] + b"\0"), ignore)


def test_a_program_for_wafers_is_refused_by_its_machine(options: BackendOptions) -> None:
    wafers = structs.replace(compile_mesh(tiny("llama")[0], 2, 2), machine="wse9")
    with pytest.raises(UnsupportedError, match="A program for wse9 can't run on this machine"):
        open_host(replace(options, program=wafers.encoded(), program_digest=""), ignore)


def test_files_that_were_replaced_are_refused_whatever_they_hold(options: BackendOptions) -> None:
    config = Path(options.checkpoint) / "config.json"
    copy = config.with_name("copy")
    copy.write_bytes(config.read_bytes())
    copy.replace(config)
    assert refused(options) == (
        "The files of llama have changed since the server was started. "
        "Start the server again to serve what is there now."
    )


def test_weights_of_another_digest_are_refused_though_the_files_are_the_same(options: BackendOptions) -> None:
    assert "have changed" in refused(replace(options, checkpoint_digest="0" * 64))


def test_files_that_change_while_they_are_packed_are_refused(options: BackendOptions) -> None:
    config = Path(options.checkpoint) / "config.json"
    with pytest.raises(CheckpointError, match="have changed"):
        open_host(options, lambda fraction, what: config.touch())


def test_without_promises_anything_is_opened(options: BackendOptions) -> None:
    bare = BackendOptions(program=options.program, checkpoint=options.checkpoint)
    (Path(options.checkpoint) / "config.json").touch()
    open_host(bare, ignore).close()
    assert identity(Path(options.checkpoint)) != options.identity
