"""The Python instruction table and the C++ records say the same."""

import ast
from pathlib import Path

import pytest

import undiced
from undiced import _native
from undiced.core.formats import FORMATS
from undiced.core.sampling import BIAS, RECORD, TOP_LOGPROBS_MAX
from undiced.engine.backend import PAGE_TOKENS
from undiced.engine.record import OFFSETS, SAMPLING
from undiced.program.host.encoding import INSTR_BYTES, encode
from undiced.program.host.instr import SHARD_GRANULE, SMALL_STEP_TOKENS, Instr
from undiced.program.host.instruction import INSTRUCTIONS, Rmsnorm
from undiced.program.host.mirror import header
from undiced.program.host.table import code_of, fields_of, flags_of, name_of

HEADER = Path(__file__).parents[3] / "native" / "engine" / "instructions.h"


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


def test_the_header_is_what_the_table_prints() -> None:
    assert HEADER.read_text() == header(), f"python -m undiced.program.host.mirror > {HEADER.name}"


def test_operation_codes_agree() -> None:
    assert {name_of(row): code_of(row) for row in INSTRUCTIONS} == _native.OPS


def numbered(row: type[Instr], flags: dict[str, bool]) -> dict[str, object]:
    """A different value for each field, in its range or not."""
    values: dict[str, object] = dict(flags)
    for at, field in enumerate(fields_of(row)):
        if field.form != "bool":
            values[field.name] = 10 + at if field.form == "int" else 0.5 + at
    return values


@pytest.mark.parametrize("row", INSTRUCTIONS)
def test_the_engine_reads_every_field_by_the_name_that_it_was_written_by(row: type[Instr]) -> None:
    flags = flags_of(row)
    for chosen in ("", *flags):
        values = numbered(row, {name: name == chosen for name in flags})
        record = encode((row(**values),))
        assert len(record) == INSTR_BYTES
        assert _native.decode_instr(record) == {"op": code_of(row), **values}


def test_what_a_record_does_not_hold_is_zero_and_an_absent_weight_minus_one() -> None:
    record = encode((Rmsnorm(dst=1, a=2, start=3, columns=4, width=5, eps=0.0),))
    assert record[28:] == bytes(INSTR_BYTES - 28)
    assert _native.decode_instr(record)["weight"] == -1


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
