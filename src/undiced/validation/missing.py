"""Published rows that nothing here can replay yet, and what each one needs. Data alone."""

from __future__ import annotations

from dataclasses import dataclass

_PREFILL = "needs the engine's prefill, a mapping of its own"


@dataclass(frozen=True, slots=True)
class MissingRow:
    """A published figure without a simulated one beside it."""

    id: str
    what: str
    published: str
    needs: str


MISSING: tuple[MissingRow, ...] = (
    MissingRow("K4", "q/k norm of a prefill, an upper bound", "925.50 cycles", "needs straight-line instructions"),
    MissingRow("K5", "rmsnorm of a prefill, an upper bound", "3,549.13 cycles", "needs straight-line instructions"),
    MissingRow("B2", "full token, batch 2 over batch 1", "ratio 1.2111", "needs waferengine in batches"),
    MissingRow("PF-512", "prefill of 8,192 tokens, chunk 512, 8 regions", "430,044,189 cycles", _PREFILL),
    MissingRow("PF-512s", "the same of 256 tokens", "48.0 M cycles", _PREFILL),
    MissingRow("PF-768", "prefill of 8,192 tokens, chunk 768", "281.9 M cycles", _PREFILL),
    MissingRow("PF-256", "prefill of 8,192 tokens, chunk 256", "1,101,615,635 cycles", _PREFILL),
    MissingRow("PF-256r", "the same with 24 of 32 chunks there", "604,117,559 cycles", _PREFILL),
    MissingRow(
        "MC-8", "longest decode, 8 regions", "32,512 positions", "needs strides of eight bits as a bound of memory"
    ),
    MissingRow("MC-4", "longest decode, 4 regions of 7 layers", "22,784 positions", "needs bytes counted from streams"),
    MissingRow("SR-8", "bytes of the fullest decode core", "40,054 bytes", "needs bytes counted from streams"),
    MissingRow("SR-P", "bytes of a prefill core, chunk 512, 768", "45,078, 47,846 bytes", _PREFILL),
    MissingRow("MC-b", "batch 3 and more", "does not fit", "needs waferengine in batches"),
    MissingRow(
        "MC-w", "regions of 128 x 128, one layer each", "does not fit", "needs the memory of head and embedding"
    ),
    MissingRow(
        "ST", "fp32 stencil, tiles of 1 x 1 to 86 x 14", "125 to 7,741 cycles", "needs rates by operation in costs"
    ),
    MissingRow(
        "V10", "vertical copy, naive reduce", "35, 32; 3,920, 3,090 cycles", "needs a description of the kernels"
    ),
)
