"""compressed-tensors: integers packed along inputs, plain int8, or 8-bit floats, each with scales of groups or rows.

Packed codes are stored plus half of their range, and so are packed zeros. Source: the compressors of the library.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from undiced.checkpoint.schemes import fp8
from undiced.checkpoint.schemes.assembly import Assembly
from undiced.checkpoint.schemes.blocks import unpacked, whole_rows
from undiced.checkpoint.schemes.files import Bytes, Files, Floats
from undiced.checkpoint.schemes.gptq import UNORDERED
from undiced.checkpoint.schemes.groups import chosen, out_of_order
from undiced.checkpoint.schemes.int_matrix import IntMatrix, stored_name
from undiced.checkpoint.schemes.settings import Settings

FORMATS = ("pack-quantized", "int-quantized", "float-quantized", "naive-quantized", "mixed-precision", "dense")
METHOD = "compressed-tensors"
_SCALES = ("F16", "BF16", "F32")
_OTHER = f"Read are {', '.join(FORMATS[:3])}; use such a model, or a GGUF file of it."


def assemble(settings: Settings, files: Files) -> Assembly:
    """Every module with `weight_packed`, or with a weight of 8 bits and `weight_scale`.

    Raises UnsupportedError for sparse weights and other formats, CheckpointError for parts that do not fit.
    """
    form = settings.word("format", "dense")
    groups = settings.inner("config_groups")
    formats = {form, *(groups.inner(name).word("format", form) for name in groups.names())}
    if strange := sorted(formats - set(FORMATS)):
        raise settings.refuse(f"is compressed as {strange[0][:40]!r}", _OTHER)
    sparse = settings.inner("sparsity_config").word("format", "dense")
    if sparse != "dense":
        raise settings.refuse(f"has sparse weights, as {sparse[:40]!r}", _OTHER)
    if settings.inner("transform_config").names():
        raise settings.refuse("has weights that are meant for transformed activations", _OTHER)
    found = Assembly()
    for module in files.modules("weight_packed"):
        _packed(settings, files, module, found).add_to(found, files)
    block = _block(groups)
    for module in fp8.modules(files):
        fp8.add(found, files, module, block)
    for module in files.modules("weight_scale"):
        if f"{module}weight" in files.stored and files.stored[f"{module}weight"].dtype == "I8":
            _plain(files, module).add_to(found, files)
    rounded = any("input_activations" in groups.inner(name) for name in groups.names())
    if rounded or "kv_cache_scheme" in settings:
        fp8.leave_out_activations(found, files)
    return found


def _block(groups: Settings) -> tuple[int, int] | None:
    """The block that 8-bit floats share a scale in, if any group of modules states one."""
    stated = (groups.inner(name).inner("weights").pair("block_structure") for name in groups.names())
    return next((pair for pair in stated if pair is not None), None)


class _Scales(NamedTuple):
    """The scale of a module, as (rows, groups), and its zeros."""

    name: str
    groups: int


def _scales(files: Files, module: str, rows: int, columns: int) -> _Scales:
    name = f"{module}weight_scale"
    shape = files.need(name, _SCALES).shape
    groups = 1 if shape in ((), (1,), (rows,)) else shape[1] if len(shape) == 2 and shape[0] in (1, rows) else 0
    if groups == 0 or columns % groups or (shape[:1] == (1,) and groups > 1):
        raise files.odd(
            name, f"has the shape {shape}: these are no scales of groups for a weight of {rows} x {columns}"
        )
    return _Scales(name, groups)


def _spread(values: Floats, rows: int, groups: int) -> Floats:
    """One value, one a row, or all of them -> (rows, groups)."""
    return np.ascontiguousarray(np.broadcast_to(values.reshape(-1, groups), (rows, groups)))


def _packed(settings: Settings, files: Files, module: str, found: Assembly) -> IntMatrix:
    name = f"{module}weight_packed"
    shape = files.need(f"{module}weight_shape", ("I64", "I32"), 1)
    words = files.need(name, ("I32",), 2)
    if shape.shape != (2,):
        raise files.odd(f"{module}weight_shape", f"has the shape {shape.shape}, expected (2,)")
    rows, columns = (int(n) for n in files.whole(f"{module}weight_shape"))
    if rows != words.shape[0] or columns < 1:
        raise files.odd(f"{module}weight_shape", f"says {rows} x {columns}, but {words.shape[0]} rows are stored")
    bits = next((bits for bits in (4, 8) if -(-columns * bits // 32) == words.shape[1]), None)
    if bits is None or columns % (8 // bits):
        raise settings.refuse(f"has packed weights of {32 * words.shape[1] / columns:g} bits", _OTHER)
    scale = _scales(files, module, rows, columns)
    zero = f"{module}weight_zero_point"
    if zero in files.stored:
        _check_zeros(files, zero, rows, scale.groups, bits)
    choice = f"{module}weight_g_idx"
    mixed = choice in files.stored and out_of_order(files, choice, columns, scale.groups)
    if mixed:
        found.note(UNORDERED)

    def factors() -> tuple[Floats, Floats]:
        scales = _spread(files.scales(scale.name), rows, scale.groups)
        return scales, _zeros(files, zero, rows, scale.groups, bits)

    def codes() -> Bytes:
        return files.words(name).view(np.uint8).reshape(rows, -1)[:, : columns * bits // 8]

    parts = (name, f"{module}weight_shape", scale.name, zero, choice)
    return IntMatrix(
        f"{module}weight", rows, columns, bits, scale.groups, stored_name(METHOD, bits, columns, scale.groups),
        tuple(part for part in parts if part in files.stored), codes, factors,
        (lambda: chosen(files, choice, columns, scale.groups)) if mixed else None,
    )  # fmt: skip


def _check_zeros(files: Files, name: str, rows: int, groups: int, bits: int) -> None:
    found = files.need(name, ("I32", "I8"), 2)
    wanted = (rows, groups) if found.dtype == "I8" else (-(-rows * bits // 32), groups)
    if found.shape != wanted:
        raise files.odd(name, f"has the shape {found.shape}, expected {wanted}")


def _zeros(files: Files, name: str, rows: int, groups: int, bits: int) -> Floats:
    """(rows, groups): the codes that mean zero. Packed along rows, or plain, or the middle of the range."""
    middle = 1 << (bits - 1)
    if name not in files.stored:
        return np.full((rows, groups), middle, np.float32)
    if files.stored[name].dtype == "I8":
        return (files.whole(name) + middle).astype(np.float32)
    codes = unpacked(whole_rows(files.words(name)), bits)[:, :rows]  # (groups, rows)
    return np.ascontiguousarray(codes.T).astype(np.float32)


def _plain(files: Files, module: str) -> IntMatrix:
    name, zero = f"{module}weight", f"{module}weight_zero_point"
    rows, columns = files.need(name, ("I8",), 2).shape
    scale = _scales(files, module, rows, columns)
    if zero in files.stored:
        _check_zeros(files, zero, rows, scale.groups, 8)

    def factors() -> tuple[Floats, Floats]:
        return _spread(files.scales(scale.name), rows, scale.groups), _zeros(files, zero, rows, scale.groups, 8)

    parts = (name, scale.name, zero)
    return IntMatrix(
        name, rows, columns, 8, scale.groups, stored_name(METHOD, 8, columns, scale.groups),
        tuple(part for part in parts if part in files.stored),
        lambda: files.octets(name) ^ np.uint8(128),  # two's complement to offset 128
        factors,
    )  # fmt: skip
