"""Programs on disk and as text; the instruction table's own consistency; verification."""

from dataclasses import replace

import pytest

from undiced.compiler import compile
from undiced.core.errors import CompileError, ProgramFileError
from undiced.machine.host import host
from undiced.model import ModelConfig, RopeConfig, build_config
from undiced.program import INSTRUCTIONS, Bounds, Instr, Op, Stream
from undiced.program.dump import dump
from undiced.program.isa import INSTR_BYTES, encode
from undiced.program.program import load
from undiced.program.verify import verify

CONFIG = ModelConfig(
    family="llama", name="tiny", layers=1, dim=32, heads=2, kv_heads=1, head_dim=16, ffn=64, vocab=40, context=64,
    norm_eps=1e-5, rope=RopeConfig(theta=1e4, dims=16),
)  # fmt: skip


@pytest.fixture
def program():
    return compile(build_config(CONFIG, "Q4_1"), host(2), Bounds(2, 64))


def test_every_instruction_has_a_row_that_its_encoding_holds():
    assert set(INSTRUCTIONS) == set(Op)
    for row in INSTRUCTIONS.values():
        assert len(row.ints) <= 7 and len(row.floats) <= 2 and row.machines <= {"host", "wafer"}


def test_encoding_is_fixed():
    instr = Instr(Op.MATMUL, dst=1, a=2, weight=3, bias=4, p=(5, 6, 7), f=())
    data = encode((instr,))
    assert len(data) == INSTR_BYTES
    assert data[:4] == bytes([5, 0, 0, 0]) and data[4] == 1 and data[8] == 2 and data[20] == 3 and data[24] == 4
    assert data[28] == 5 and data[32] == 6 and data[36] == 7


def test_a_saved_program_comes_back_equal(program, tmp_path):
    program.save(tmp_path / "p")
    again = load(tmp_path / "p")
    assert again == program and again.digest == program.digest


@pytest.mark.parametrize("cut", [0, 5, 11, 40, -1])
def test_truncated_files_are_refused(program, tmp_path, cut):
    program.save(tmp_path / "p")
    (tmp_path / "p").write_bytes((tmp_path / "p").read_bytes()[:cut])
    with pytest.raises(ProgramFileError):
        load(tmp_path / "p")


def test_any_flipped_byte_is_noticed(program, tmp_path):
    program.save(tmp_path / "p")
    data = (tmp_path / "p").read_bytes()
    for at in range(0, len(data), max(1, len(data) // 50)):
        (tmp_path / "p").write_bytes(data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :])
        with pytest.raises(ProgramFileError):
            load(tmp_path / "p")


def test_another_version_is_named(program, tmp_path):
    program.save(tmp_path / "p")
    data = bytearray((tmp_path / "p").read_bytes())
    data[8] = 99
    (tmp_path / "p").write_bytes(data)
    with pytest.raises(ProgramFileError, match="version 99"):
        load(tmp_path / "p")
    with pytest.raises(ProgramFileError, match="Cannot open"):
        load(tmp_path / "absent")


def test_dump_names_everything_once(program):
    text = dump(program)
    assert text == dump(program)
    assert sum(line.startswith("slot ") for line in text.splitlines()) == len(program.slots)
    assert "MATMUL dst=" in text and "# layers.0.attn.q.out" in text


@pytest.mark.parametrize(
    "change, message",
    [
        ({"weight": 999}, "weight is 999"),
        ({"dst": -1}, "lacks dst"),
        ({"b": 0}, "has b"),
        ({"p": (0, 1, 2)}, "not 1 x 2"),
        ({"p": (0,)}, "integers"),
        ({"op": Op.ALLREDUCE}, "a host can't carry it"),
    ],
)
def test_verify_names_what_is_wrong(program, change, message):
    instrs = list(program.streams[0].instrs)
    at = next(i for i, instr in enumerate(instrs) if instr.op is Op.MATMUL)
    instrs[at] = replace(instrs[at], **change)
    with pytest.raises(CompileError, match=message):
        verify(replace(program, streams=(Stream("step", tuple(instrs)),)))
