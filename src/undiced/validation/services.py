"""What is published of services on wafers: tokens a second of one user. Their load is never disclosed. Data only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Service:
    """One published speed: of which model, and what is known of how it came about."""

    model: str
    tokens_per_second: float
    known: str
    row_id: str = "SV"


SERVICES = (
    Service("llama-3.1-8b", 1_837, "2024-08, 16-bit, no speculation, one system", "V36"),
    Service("llama-3.1-70b", 445, "2024-08, 16-bit, no speculation, 4 wafers"),
    Service("llama-3.1-70b", 2_100, "2024-10, with speculation"),
    Service("llama-3.3-70b", 2_314, "2025, with speculation"),
    Service("llama-3.1-405b", 969, "2024-11, speculation inferred"),
    Service("llama-4-maverick", 2_522, "2025-05, batch and load not disclosed"),
    Service("qwen3-32b", 2_600, "2025, nothing stated"),
    Service("qwen3-235b-a22b", 1_500, "2025, nothing stated"),
    Service("gpt-oss-120b", 2_059, "2026, nothing stated; 1,706 measured too"),
)
