"""MXFP4 of gpt-oss folders: experts' matrices as blocks of 32 numbers of 4 bits (E2M1) with a power of two each.

Two numbers lie in a byte, the first low; GGUF has numbers 16 apart there. Matrices are outputs x inputs, unlike the
dense ones of the family. Sources: the mxfp4 quantizer of Hugging Face transformers; the OCP microscaling formats.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from undiced.checkpoint.decode import BLOCKS
from undiced.checkpoint.schemes.assembly import Assembly
from undiced.checkpoint.schemes.files import Bytes, Files
from undiced.checkpoint.schemes.settings import Settings
from undiced.checkpoint.tensor import TensorInfo
from undiced.core.formats import FORMATS

_FORMAT = "MXFP4"
_LOW, _HIGH = np.uint64(0x0F0F0F0F0F0F0F0F), np.uint64(0xF0F0F0F0F0F0F0F0)
_FOUR = np.uint64(4)


def assemble(settings: Settings, files: Files) -> Assembly:
    """Every `*_blocks` with its `*_scales`, under the name of the blocks.

    Raises CheckpointError for scales that are missing, are NaN or do not fit.
    """
    found = Assembly()
    for module in files.modules("_blocks"):
        _add(found, files, f"{module}_blocks", f"{module}_scales")
    return found


def _add(found: Assembly, files: Files, blocks: str, scales: str) -> None:
    codes = files.need(blocks, ("U8",))
    if len(codes.shape) < 3 or codes.shape[-1] != 16:
        raise files.odd(blocks, f"has the shape {codes.shape}, whose last dimension is no block of 16 bytes")
    exponents = files.need(scales, ("U8",))
    if exponents.shape != codes.shape[:-1]:
        raise files.odd(scales, f"has the shape {exponents.shape}, expected {codes.shape[:-1]}")
    shape = (*codes.shape[:-2], codes.shape[-2] * 32)
    elements = codes.nbytes * 2

    def recipe() -> NDArray[np.uint8]:
        powers = files.octets(scales)
        if (powers == 255).any():
            raise files.odd(scales, "has scales that are NaN")
        out = np.empty(codes.shape[:-1], BLOCKS[_FORMAT])
        out["e"], out["lo"] = powers, _far_apart(files.octets(blocks))
        return out.view(np.uint8).reshape(-1)

    info = TensorInfo(
        blocks, shape, _FORMAT, 0, FORMATS[_FORMAT].file_bytes(elements), _FORMAT, codes.nbytes + exponents.nbytes
    )
    found.add(info, recipe, blocks, scales)


def _far_apart(codes: Bytes) -> Bytes:
    """(..., 16) bytes of numbers 2 i and 2 i + 1 -> (..., 16) bytes of numbers i and 16 + i; eight bytes at a time."""
    halves = np.ascontiguousarray(codes).view("<u8")  # (..., 2): numbers 0..15 and 16..31
    first, second = halves[..., 0], halves[..., 1]
    out = np.empty(codes.shape, np.uint8)
    even = (first & _LOW) | ((second & _LOW) << _FOUR)
    odd = ((first >> _FOUR) & _LOW) | (second & _HIGH)
    out[..., 0::2] = np.ascontiguousarray(even).astype("<u8").view(np.uint8).reshape(*codes.shape[:-1], 8)
    out[..., 1::2] = np.ascontiguousarray(odd).astype("<u8").view(np.uint8).reshape(*codes.shape[:-1], 8)
    return out
