"""AWQ: 4-bit codes with a scale and a zero a group of inputs, packed for products of matrices ("gemm").

A word has eight outputs of one input, in the order 0 2 4 6 1 3 5 7. Source: AutoAWQ's packing.
"""

from __future__ import annotations

import numpy as np

from undiced.checkpoint.schemes.assembly import Assembly
from undiced.checkpoint.schemes.blocks import codes_of
from undiced.checkpoint.schemes.files import Bytes, Files, Floats, Words
from undiced.checkpoint.schemes.groups import check_groups
from undiced.checkpoint.schemes.int_matrix import IntMatrix, stored_name
from undiced.checkpoint.schemes.settings import Settings

ORDER = (0, 2, 4, 6, 1, 3, 5, 7)  # which of eight outputs a nibble of a word is, the lowest nibble first
_SWAPS = ((4, 0x0000FFFF), (2, 0x00FF00FF), (1, 0x0F0F0F0F))
_OTHER = "Use an AWQ model of version gemm, or a GGUF file of it."


def assemble(settings: Settings, files: Files) -> Assembly:
    """Every module with `qweight`, `qzeros` and `scales`.

    Raises UnsupportedError for other packings and other widths than 4 bits, CheckpointError for parts that do not fit.
    """
    version = settings.word(("version", "checkpoint_format", "format"), "gemm").lower()
    if version != "gemm":
        raise settings.refuse(f"is packed by AWQ as {version[:40]!r}", _OTHER)
    bits = settings.count(("bits", "w_bit"), 4)
    if bits != 4:
        raise settings.refuse(f"has AWQ weights of {bits} bits", _OTHER)
    group = settings.count(("group_size", "q_group_size"), 128)
    found = Assembly()
    for module in files.modules("qweight"):
        _matrix(files, module, group).add_to(found, files)
    return found


def _matrix(files: Files, module: str, stated: int | None) -> IntMatrix:
    names = tuple(f"{module}{part}" for part in ("qweight", "qzeros", "scales"))
    codes = files.need(names[0], ("I32",), 2)
    zeros, scales = files.need(names[1], ("I32",), 2), files.need(names[2], ("F16", "BF16", "F32"), 2)
    inputs, outputs, groups = codes.shape[0], codes.shape[1] * 8, scales.shape[0]
    check_groups(files, names[2], inputs, groups, stated)
    for name, shape, wanted in (
        (names[1], zeros.shape, (groups, outputs // 8)),
        (names[2], scales.shape, (groups, outputs)),
    ):
        if shape != wanted:
            raise files.odd(name, f"has the shape {shape}, expected {wanted}")
    return IntMatrix(
        f"{module}weight", outputs, inputs, 4, groups, stored_name("AWQ", 4, inputs, groups), names,
        lambda: turned(files.words(names[0])),
        lambda: (np.ascontiguousarray(files.scales(names[2]).T), _zeros(files.words(names[1]))),
    )  # fmt: skip


def turned(words: Words) -> Bytes:
    """(inputs, outputs / 8) words -> (outputs, inputs / 2) bytes, two inputs each.

    Eight words of eight nibbles each are a square, which is transposed by swapping halves, quarters and eighths.
    """
    inputs, octets = words.shape
    padded = np.zeros((-(-inputs // 8) * 8, octets), np.uint32)
    padded[:inputs] = words
    rows = [padded[k::8].copy() for k in range(8)]
    for distance, mask in _SWAPS:
        shift = np.uint32(4 * distance)
        for k in range(8):
            if k & distance == 0:
                moved = (rows[k] >> shift ^ rows[k + distance]) & np.uint32(mask)
                rows[k + distance] ^= moved
                rows[k] ^= moved << shift
    out = np.empty((octets, 8, len(rows[0])), "<u4")
    for nibble, output in enumerate(ORDER):
        out[:, output] = rows[nibble].T
    return out.reshape(octets * 8, -1).view(np.uint8)[:, : inputs // 2]


def _zeros(words: Words) -> Floats:
    """(groups, outputs / 8) words -> (outputs, groups)."""
    groups, octets = words.shape
    out = np.empty((octets, 8, groups), np.float32)
    out[:, ORDER] = codes_of(words, 4).reshape(groups, octets, 8).transpose(1, 2, 0)
    return out.reshape(-1, groups)
