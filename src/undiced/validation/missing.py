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
    MissingRow("K4", "q/k norm of a prefill, an upper bound", "925.50 cycles", _PREFILL),
    MissingRow("K5", "rmsnorm of a prefill, an upper bound", "3,549.13 cycles", _PREFILL),
    MissingRow("PF-512", "prefill of 8,192 tokens, chunk 512, 8 regions", "430,044,189 cycles", _PREFILL),
    MissingRow("PF-512s", "the same of 256 tokens", "48.0 M cycles", _PREFILL),
    MissingRow("PF-768", "prefill of 8,192 tokens, chunk 768", "281.9 M cycles", _PREFILL),
    MissingRow("PF-256", "prefill of 8,192 tokens, chunk 256", "1,101,615,635 cycles", _PREFILL),
    MissingRow("PF-256r", "the same with 24 of 32 chunks there", "604,117,559 cycles", _PREFILL),
    MissingRow("SR-P", "bytes of a prefill core, chunk 512, 768", "45,078, 47,846 bytes", _PREFILL),
)
