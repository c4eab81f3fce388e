"""GPTQ: codes of 4 or 8 bits with a scale and a zero a group of inputs; the groups may be in any order (`g_idx`).

A word has eight (or four) inputs of one output, the first lowest. Zeros are stored one less than they are, but in
version 2. Sources: AutoGPTQ's packing; GPTQModel, which adds the one back to whole words, carries included.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from undiced.checkpoint.schemes.assembly import Assembly
from undiced.checkpoint.schemes.blocks import codes_of, whole_rows
from undiced.checkpoint.schemes.files import Files, Floats, Words
from undiced.checkpoint.schemes.groups import check_groups, chosen, in_order, out_of_order
from undiced.checkpoint.schemes.int_matrix import IntMatrix, stored_name
from undiced.checkpoint.schemes.settings import Settings

ONES = {4: 0x11111111, 8: 0x01010101}
VERSIONS = {"gptq": True, "gptq_v2": False}  # by name: whether zeros are stored one less than they are
UNORDERED = (
    "Columns of some weights (desc_act) are not grouped in order: they are kept as F32, exactly, in 8 times "
    "the memory. A model quantized with desc_act false, or a GGUF file, stays narrow."
)
_OTHER = "Models of 4 and 8 bits are read; use one, or a GGUF file of the model."


def assemble(settings: Settings, files: Files) -> Assembly:
    """Every module with `qweight`, `qzeros`, `scales` and, mostly, `g_idx`.

    Raises UnsupportedError for other formats and widths, CheckpointError for parts that do not fit.
    """
    version = settings.word(("checkpoint_format", "format"), "gptq").lower()
    if version not in VERSIONS:
        raise settings.refuse(
            f"is packed by GPTQ as {version[:40]!r}", f"Use one of {', '.join(VERSIONS)}, or a GGUF file."
        )
    bits, group = settings.count("bits"), settings.count("group_size")
    if bits not in (None, *ONES):
        raise settings.refuse(f"has GPTQ weights of {bits} bits", _OTHER)
    matrices = [_Module(settings, files, module, bits, group) for module in files.modules("qweight")]
    unordered = {_alike(each.module) for each in matrices if each.unordered}
    found = Assembly()
    for each in matrices:
        each.matrix(VERSIONS[version], unordered=_alike(each.module) in unordered).add_to(found, files)
    if unordered:
        found.note(UNORDERED)
    return found


def _alike(module: str) -> str:
    """A module's name without its expert: what the experts of a layer share."""
    return re.sub(r"\.experts\.\d+\.", ".experts.*.", module)


class _Module:
    """The parts of one module, checked."""

    def __init__(self, settings: Settings, files: Files, module: str, bits: int | None, group: int | None) -> None:
        self._files, self.module = files, module
        self._names = {part: f"{module}{part}" for part in ("qweight", "qzeros", "scales", "g_idx")}
        codes = files.need(self._names["qweight"], ("I32",), 2)
        scales = files.need(self._names["scales"], ("F16", "BF16", "F32"), 2)
        zeros = files.need(self._names["qzeros"], ("I32",), 2)
        self._ordered_by_file = self._names["g_idx"] not in files.stored
        if self._ordered_by_file:
            bits = bits or 4
            self.inputs = codes.shape[0] * 32 // bits
        else:
            self.inputs = files.need(self._names["g_idx"], ("I32",), 1).shape[0]
            bits = self._bits(settings, codes.shape[0])
        self.bits, self.outputs, self.groups = bits, codes.shape[1], scales.shape[0]
        check_groups(files, self._names["scales"], self.inputs, self.groups, group)
        for part, shape, wanted in (
            ("scales", scales.shape, (self.groups, self.outputs)),
            ("qzeros", zeros.shape, (self.groups, -(-self.outputs * bits // 32))),
        ):
            if shape != wanted:
                raise files.odd(self._names[part], f"has the shape {shape}, expected {wanted}")
        self.unordered = not self._ordered_by_file and out_of_order(
            files, self._names["g_idx"], self.inputs, self.groups
        )

    def _bits(self, settings: Settings, rows: int) -> int:
        """Bits of a code, as the shapes say: methods may differ from module to module."""
        bits = 32 * rows / self.inputs
        if bits not in ONES:
            raise settings.refuse(f"has, in {self.module[:100].rstrip('.')}, GPTQ weights of {bits:g} bits", _OTHER)
        return int(bits)

    def _choice(self) -> NDArray[np.int64]:
        if self._ordered_by_file:
            return in_order(self.inputs, self.groups)
        return chosen(self._files, self._names["g_idx"], self.inputs, self.groups)

    def matrix(self, zeros_less_one: bool, *, unordered: bool) -> IntMatrix:
        """What the parts say together."""
        files, names, bits = self._files, self._names, self.bits

        def factors() -> tuple[Floats, Floats]:
            zeros = _zeros(files.words(names["qzeros"]), bits, zeros_less_one)[:, : self.outputs]
            return np.ascontiguousarray(files.scales(names["scales"]).T), np.ascontiguousarray(zeros.T)

        return IntMatrix(
            f"{self.module}weight", self.outputs, self.inputs, bits, self.groups,
            stored_name("GPTQ", bits, self.inputs, self.groups),
            tuple(name for name in names.values() if name in files.stored),
            lambda: whole_rows(files.words(names["qweight"])),
            factors,
            self._choice if unordered else None,
        )  # fmt: skip


def _zeros(words: Words, bits: int, less_one: bool) -> Floats:
    """(groups, words) -> (groups, outputs)."""
    if less_one:
        words = words + np.uint32(ONES[bits])
    return codes_of(words, bits).astype(np.float32)
