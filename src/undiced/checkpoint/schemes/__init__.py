"""Quantized Hugging Face folders: what several tensors of a file say together, arranged as one tensor of a format.

One file a method, each with one function `assemble`; `READERS` says which. Nothing is rounded: codes, scales and zeros
keep their values, and where no narrow format holds them the numbers become F32, which is said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from undiced.checkpoint.schemes import awq, compressed, fp8, gptq, mxfp4
from undiced.checkpoint.schemes.assembly import Assembly
from undiced.checkpoint.schemes.files import Files
from undiced.checkpoint.schemes.settings import Settings

READERS: Mapping[str, Callable[[Settings, Files], Assembly]] = {
    "fp8": fp8.assemble,
    "fbgemm_fp8": fp8.assemble,
    "awq": awq.assemble,
    "gptq": gptq.assemble,
    "compressed-tensors": compressed.assemble,
    "mxfp4": mxfp4.assemble,
}

__all__ = ["READERS", "Assembly", "Files", "Settings"]
