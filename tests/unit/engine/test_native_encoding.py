"""The Python instruction table and the C++ record say the same."""

import ast
from pathlib import Path

import pytest

import undiced
from undiced import _native
from undiced.core.formats import FORMATS
from undiced.core.sampling import BIAS, RECORD, TOP_LOGPROBS_MAX
from undiced.engine.backend import PAGE_TOKENS
from undiced.engine.record import OFFSETS, SAMPLING
from undiced.program import Flag, Instr, Op
from undiced.program.isa import INSTR_BYTES, INSTRUCTIONS, SHARD_GRANULE, SMALL_STEP_TOKENS, encode

HOST_OPS = [op for op, row in INSTRUCTIONS.items() if "host" in row.machines]


def test_sizes_agree() -> None:
    assert _native.INSTR_BYTES == INSTR_BYTES
    assert _native.SHARD_GRANULE == SHARD_GRANULE
    assert _native.SMALL_STEP_TOKENS == SMALL_STEP_TOKENS
    assert _native.PAGE_TOKENS == PAGE_TOKENS


def test_the_sampling_record_is_one_table_in_two_languages() -> None:
    mirror = [(f.name, f.kind, OFFSETS[f.name], f.range.low, float(f.range.high)) for f in RECORD]
    assert mirror == [tuple(field) for field in _native.SAMPLING_RECORD]
    assert SAMPLING.itemsize == _native.SAMPLING_BYTES
    assert _native.TOP_LOGPROBS_MAX == TOP_LOGPROBS_MAX
    assert (BIAS.engine.low, BIAS.engine.high) == (-_native.BIAS_MAX, _native.BIAS_MAX)


def test_operation_codes_agree() -> None:
    assert {op.name: int(op) for op in HOST_OPS} == _native.OPS


@pytest.mark.parametrize("op", HOST_OPS)
def test_fields_survive_encoding(op: Op) -> None:
    ints, floats = INSTRUCTIONS[op].ints, INSTRUCTIONS[op].floats
    instr = Instr(
        op,
        1,
        2,
        3,
        4,
        5,
        6,
        tuple(10 + i for i in range(len(ints))),
        tuple(0.5 + i for i in range(len(floats))),
        Flag.POSITIONS,
    )
    fields = _native.decode_instr(encode((instr,)))
    assert fields["op"] == op
    assert fields["flags"] == Flag.POSITIONS
    assert [fields[n] for n in ("dst", "a", "b", "c", "weight", "bias")] == [1, 2, 3, 4, 5, 6]
    assert fields["p"][: len(ints)] == instr.p and not any(fields["p"][len(ints) :])
    assert fields["f"][: len(floats)] == instr.f


def test_unused_operands_are_minus_one() -> None:
    fields = _native.decode_instr(encode((Instr(Op.BARRIER),)))
    assert [fields[n] for n in ("dst", "a", "b", "c", "weight", "bias")] == [-1] * 6


def test_decoding_wants_one_whole_record() -> None:
    with pytest.raises(ValueError, match="not whole instructions"):
        _native.decode_instr(bytes(63))
    with pytest.raises(ValueError, match="one instruction"):
        _native.decode_instr(bytes(128))


@pytest.mark.parametrize("fmt", FORMATS)
def test_every_format_has_a_slot(fmt: str) -> None:
    args = ([], [(32, 256, fmt, 1)], [], [], 1, 1, 1, 32, 1, 8)
    engine = _native.Engine(b"", *args)
    engine.close()


def test_unknown_format_is_refused() -> None:
    with pytest.raises(ValueError, match="Q9_9"):
        _native.Engine(b"", [], [(32, 256, "Q9_9", 1)], [], [], 1, 1, 1, 32, 1, 8)


def names_of(body: list[ast.stmt]) -> set[str]:
    names = {n.name for n in body if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    return names | {n.target.id for n in body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)}


def test_the_stub_names_what_the_module_exports() -> None:
    stub = ast.parse(Path(undiced.__file__).with_name("_native.pyi").read_text())
    engine = next(n for n in stub.body if isinstance(n, ast.ClassDef))
    assert names_of(stub.body) == {n for n in dir(_native) if not n.startswith("_")}
    assert names_of(engine.body) - {"__init__"} == {n for n in dir(_native.Engine) if not n.startswith("_")}
