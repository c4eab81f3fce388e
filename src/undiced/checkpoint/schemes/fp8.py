"""Weights of 8-bit floats (E4M3) with float scales: of blocks (DeepSeek V3, Qwen3-FP8), of rows, or of whole matrices.

A weight is its number times its scale. Here activations are floats, whatever the method rounds them to. Sources: the
fine-grained fp8 quantizer of Hugging Face transformers; the DeepSeek-V3 repository; float-quantized of
compressed-tensors, which says the same under other names.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from undiced.checkpoint.schemes.assembly import Assembly
from undiced.checkpoint.schemes.blocks import eight_bit_floats, narrow
from undiced.checkpoint.schemes.files import FLOATS, Files
from undiced.checkpoint.schemes.settings import Settings
from undiced.checkpoint.tensor import TensorInfo
from undiced.core.formats import FORMATS

STORED = "FP8"
SCALES = ("weight_scale_inv", "weight_scale")
UNUSED = ("input_scale", "input_scale_inv", "k_scale", "v_scale", "q_scale", "prob_output_scale", "activation_scale")
_BITS = ("F8_E4M3",)


def assemble(settings: Settings, files: Files) -> Assembly:
    """Every weight of 8 bits with its scale.

    Raises CheckpointError for scales that are missing or fit no weight, UnsupportedError for E5M2.
    """
    form = settings.word("fmt", "e4m3")
    if form not in ("e4m3", "float8_e4m3fn"):
        raise settings.refuse(f"has 8-bit floats of the kind {form[:40]!r}", "E4M3 is read; use a GGUF file of it.")
    found = Assembly()
    block = settings.pair("weight_block_size")
    for module in modules(files):
        add(found, files, module, block)
    leave_out_activations(found, files)
    return found


def modules(files: Files) -> list[str]:
    """Modules whose weight has 8 bits; a dot ends each name."""
    eight = ("F8_E4M3", "F8_E5M2")
    return [name for name in files.modules("weight") if files.stored[f"{name}weight"].dtype in eight]


def leave_out_activations(found: Assembly, files: Files) -> None:
    """Scales of activations and of cached keys are known, and not used."""
    unused = [name for name in files.stored if name.rpartition(".")[2] in UNUSED]
    found.taken.update(unused)
    found.note("Activations and cached keys are not rounded to 8 bits, whatever the file says of them.")


def add(found: Assembly, files: Files, module: str, block: tuple[int, int] | None) -> None:
    """One module's weight."""
    weight = files.need(f"{module}weight", _BITS, 2)
    scale_name = next((f"{module}{s}" for s in SCALES if f"{module}{s}" in files.stored), f"{module}{SCALES[0]}")
    scale = files.need(scale_name, FLOATS)
    rows, columns = weight.shape
    size = _block(files, scale_name, scale.shape, (rows, columns), block)
    form = narrow("FP8", columns, size[1])

    def recipe() -> NDArray[np.uint8]:
        codes = files.octets(f"{module}weight")
        if (codes & np.uint8(127) == 127).any():
            raise files.odd(f"{module}weight", "has weights that are NaN")
        grid = (-(-rows // size[0]), -(-columns // size[1]))
        return eight_bit_floats(form, codes, files.scales(scale_name).reshape(grid), size)

    info = TensorInfo(
        f"{module}weight", weight.shape, form, 0, FORMATS[form].file_bytes(rows * columns), STORED,
        weight.nbytes + scale.nbytes,
    )  # fmt: skip
    found.add(info, recipe, f"{module}weight", scale_name)


def _block(
    files: Files, name: str, scales: tuple[int, ...], shape: tuple[int, int], stated: tuple[int, int] | None
) -> tuple[int, int]:
    """Rows and columns that share a scale: all, a row, or a block."""
    rows, columns = shape
    if scales in ((), (1,), (1, 1)):
        return rows, columns
    if scales in ((rows,), (rows, 1)):
        return 1, columns
    if stated is not None and scales == (-(-rows // stated[0]), -(-columns // stated[1])):
        return stated
    wanted = f"of blocks of {stated[0]} x {stated[1]}" if stated else "of the matrix or of its rows"
    raise files.odd(name, f"has the shape {scales}: these are no scales {wanted} for a weight of {rows} x {columns}")
