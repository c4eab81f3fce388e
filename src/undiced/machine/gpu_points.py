"""Published measurements of models on GPUs, each as its source states it. Data only; nothing is fitted on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Measure = Literal["token_s", "whole_s", "first_token_s", "tokens_per_second", "user_tokens_per_second"]
_TRT = "TensorRT-LLM 0.6.1, docs/source/performance.md"
_VLLM = "vLLM's nightly benchmark, build 9515"


@dataclass(frozen=True, slots=True)
class Point:
    """One measured point.

    Attributes:
        batch: sequences at once; prompt, answer: their tokens. bits: of a weight and of a cached number.
        measure: token_s: seconds a token; whole_s: all of a batch's answers, prompts included; first_token_s: a
            prompt's; tokens_per_second: of all sequences together; user_tokens_per_second: of one.
        at_most: whether the source gives a bound. drafted: whether tokens were speculated.
    """

    gpu: str
    count: int
    model: str
    batch: int
    prompt: int
    answer: int
    bits: int
    measure: Measure
    value: float
    source: str
    at_most: bool = False
    drafted: bool = False


POINTS = (
    Point("h100", 1, "llama-3.2-1b", 1, 32, 128, 16, "token_s", 1.0e-3, "Hazy Research, 2025-05: under 1 ms", True),
    Point("b200", 1, "llama-3.2-1b", 1, 32, 128, 16, "token_s", 680e-6, "Hazy Research, 2025-05: 600 to 680 us", True),
    Point("h200", 1, "llama-3.1-8b", 8, 32, 128, 16, "whole_s", 833.4e-3, _VLLM),
    Point("h200", 4, "llama-3.1-70b", 8, 32, 128, 16, "whole_s", 2077.5e-3, _VLLM),
    Point("a100", 1, "llama-2-7b", 60, 128, 2048, 16, "tokens_per_second", 1928, _TRT),
    Point("h100", 1, "llama-2-7b", 112, 128, 2048, 8, "tokens_per_second", 6818, _TRT),
    Point("h100", 1, "llama-2-7b", 48, 2048, 2048, 8, "tokens_per_second", 2740, _TRT),
    Point("h100", 4, "llama-2-70b", 480, 128, 2048, 8, "tokens_per_second", 4 * 1486, _TRT),
    Point("h100", 2, "llama-2-70b", 64, 2048, 2048, 8, "tokens_per_second", 2 * 547, _TRT),
    Point("a100", 1, "llama-2-7b", 1, 2048, 1, 16, "first_token_s", 133e-3, _TRT),
    Point("a100", 4, "llama-2-70b", 1, 2048, 1, 16, "first_token_s", 377e-3, _TRT),
    Point("h100", 1, "llama-2-7b", 1, 2048, 1, 8, "first_token_s", 36e-3, _TRT),
    Point("h100", 4, "llama-2-70b", 1, 2048, 1, 8, "first_token_s", 109e-3, _TRT),
    Point("h200", 8, "llama-3.1-70b", 1, 128, 2048, 8, "user_tokens_per_second", 268,
          "vendor, 2024-09: Medusa; weights, lengths and acceptance not stated in full", drafted=True),
    Point("h200", 8, "llama-3.1-405b", 1, 128, 2048, 8, "user_tokens_per_second", 108,
          "vendor, 2024-09: Medusa; weights, lengths and acceptance not stated in full", drafted=True),
    Point("b200", 8, "llama-4-maverick", 1, 1024, 1024, 8, "user_tokens_per_second", 1038,
          "Artificial Analysis, 2025-05; a draft model; lengths not stated", drafted=True),
)  # fmt: skip
