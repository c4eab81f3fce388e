"""Programs on disk and as text; the instruction table's own consistency; verification."""

import pytest
from msgspec import structs
from msgspec.structs import replace

from undiced.compiler import compile
from undiced.core.errors import CompileError, ProgramFileError
from undiced.machine.host import host
from undiced.model import ModelConfig, RopeConfig, build_config
from undiced.program import Bounds
from undiced.program.dump import dump
from undiced.program.file import load
from undiced.program.host.encoding import INSTR_BYTES, encode
from undiced.program.host.field import Partition
from undiced.program.host.instruction import INSTRUCTIONS, Attention, Matmul, Quantize, Rope, Sample
from undiced.program.host.table import code_of, fields_of, name_of, words_of
from undiced.program.host.verify import verify

CONFIG = ModelConfig(
    family="llama", name="tiny", layers=1, dim=32, heads=2, kv_heads=1, head_dim=16, ffn=64, vocab=40, context=64,
    norm_eps=1e-5, rope=RopeConfig(theta=1e4, dims=16),
)  # fmt: skip


@pytest.fixture
def program():
    return compile(build_config(CONFIG, "Q4_1"), host(2), Bounds(2, 64))


def test_every_instruction_has_a_code_a_meaning_and_fields_that_a_record_holds():
    assert [code_of(row) for row in INSTRUCTIONS] == list(range(len(INSTRUCTIONS)))
    assert len({name_of(row) for row in INSTRUCTIONS}) == len(INSTRUCTIONS)
    for row in INSTRUCTIONS:
        assert row.__doc__ and 4 + 4 * len(words_of(row)) <= INSTR_BYTES
        assert {"layer", "note"} | {field.name for field in fields_of(row)} == set(row.__struct_fields__)


def test_encoding_is_fixed():
    product = Matmul(dst=1, a=2, weight=3, bias=4, start=5, rows=6, columns=7, accumulate=True)
    words = [5 | 1 << 16, 1, 2, 3, 4, 5, 6, 7]
    assert encode((product,)) == b"".join(w.to_bytes(4, "little") for w in words).ljust(INSTR_BYTES, b"\0")


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


def test_dump_prints_integers_to_the_last_digit_and_enumerations_by_name(program):
    store = Quantize(dst=1, a=0, columns=1_234_567, by=Partition.COLUMNS, note="x")
    product = Matmul(dst=1, a=0, weight=2, start=0, rows=3, columns=4, accumulate=True)
    lines = dump(replace(program, instrs=(store, product))).splitlines()
    assert lines[-2:] == [
        "  QUANTIZE dst=1 a=0 columns=1234567 by=columns  # x",
        "  MATMUL dst=1 a=0 weight=2 start=0 rows=3 columns=4 accumulate",
    ]


CHANGES = {
    "a slot that is not there": (Matmul, {"weight": 999}, "weight is 999"),
    "no destination": (Matmul, {"dst": -1}, "dst is -1"),
    "no weight": (Matmul, {"weight": -1}, "weight is -1"),
    "floats where blocks belong": (Matmul, {"a": 0}, "a must be a buffer of floats, or of int8 blocks"),
    "another shape": (Matmul, {"rows": 1, "columns": 2}, "not 1 x 2"),
    "a vector as matrix": (Matmul, {"weight": 1}, "weight is 1, not a weight slot of several rows"),
    "columns beyond the buffer": (Matmul, {"start": 1 << 20}, r"columns \[1048576, .* leave buffer"),
    "a matrix as bias": (Matmul, {"bias": 0}, "bias is 0, not a weight slot of one row, or NONE"),
    "a constant that is not there": (Rope, {"constant": 1}, "constant is 1"),
    "an odd number of dims": (Rope, {"dims": 15}, "15 of 16 columns can't be rotated"),
    "no magnitude": (Rope, {"magnitude": 0.0}, "magnitude is 0.0"),
    "a layer that is not there": (Attention, {"kv_layer": 1}, "kv_layer is 1"),
    "other heads than the cache's": (Attention, {"kv_heads": 2}, "KV layer 0 is"),
    "heads that share no cache": (Attention, {"heads": 3, "kv_heads": 2}, "3 heads are no multiple of 2"),
    "in its own place": (Attention, {"q": 5, "dst": 5, "start": 0}, "dst is q"),
    "a float that is none": (Attention, {"scale": float("nan")}, "scale is nan"),
    "before it is written": (Matmul, {"accumulate": True}, "it reads buffer 3, which nothing has written"),
    "rows of tokens": (Sample, {"a": 0, "vocab": 32}, "must hold rows of samples"),
    "another vocabulary": (Sample, {"vocab": 39}, "vocab is 39, the program's 40"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_verify_names_what_is_wrong(program, name):
    row, change, message = CHANGES[name]
    instrs = list(program.instrs)
    at = next(i for i, instr in enumerate(instrs) if isinstance(instr, row))
    instrs[at] = structs.replace(instrs[at], **change)
    with pytest.raises(CompileError, match=message) as error:
        verify(replace(program, instrs=tuple(instrs)))
    assert str(error.value).startswith(f"Instruction {at} ({name_of(row)}): ")


@pytest.mark.parametrize(
    "change, message",
    [
        ({"bounds": Bounds(0, 64)}, "out of range"),
        ({"cores": 0}, "A team of 0 cores"),
        ({"vocab": 1 << 40}, "out of range"),
        ({"constants": ((float("inf"),) * 8,)}, "constant of the program"),
        ({"facts": (("x", float("nan")),)}, "fact of the program"),
        ({"instrs": ()}, "samples 0 times"),
    ],
)
def test_verify_names_what_is_wrong_with_the_whole(program, change, message):
    with pytest.raises(CompileError, match=message):
        verify(replace(program, **change))


def test_a_file_that_breaks_a_rule_is_refused_where_it_is_read(program, tmp_path):
    instrs = list(program.instrs)
    at = next(i for i, instr in enumerate(instrs) if isinstance(instr, Matmul))
    instrs[at] = structs.replace(instrs[at], weight=999)
    replace(program, instrs=tuple(instrs)).save(tmp_path / "p")
    with pytest.raises(
        ProgramFileError, match=rf"p does not hold a valid program: Instruction {at} \(MATMUL\): weight"
    ):
        load(tmp_path / "p")


def test_a_pass_that_leaves_a_broken_instruction_is_named(monkeypatch):
    from undiced.compiler import host as compiler

    def place(draft):
        draft.instrs[0] = structs.replace(draft.instrs[0], dst=999)

    monkeypatch.setattr(compiler, "PASSES", (*compiler.PASSES[:2], place))
    with pytest.raises(CompileError, match=r"After place: Instruction 0 \(EMBED\): dst is 999"):
        compile(build_config(CONFIG, "Q4_1"), host(2), Bounds(2, 64))
