"""OpenAI's shapes of usage and costs, for dashboards that know them: pages of buckets of results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class UsageResult:
    """What was used in a bucket, of all or of one group. Members that are null are not told apart."""

    object: Literal["organization.usage.completions.result"]
    input_tokens: int
    input_cached_tokens: int
    input_uncached_tokens: int
    output_tokens: int
    num_model_requests: int
    project_id: str | None
    api_key_id: str | None
    model: str | None
    user_id: None = None
    batch: None = None
    service_tier: None = None


@dataclass(frozen=True, slots=True)
class UsageBucket:
    """A minute, an hour or a day."""

    object: Literal["bucket"]
    start_time: int
    end_time: int
    results: list[UsageResult]


@dataclass(frozen=True, slots=True)
class UsagePage:
    """Buckets one after the other, those in which nothing was used too."""

    data: list[UsageBucket]
    has_more: bool
    next_page: str | None


@dataclass(frozen=True, slots=True)
class Amount:
    """Money in the currency's unit."""

    value: float
    currency: str


@dataclass(frozen=True, slots=True)
class CostsResult:
    """What was charged in a bucket. `line_item`: the model."""

    object: Literal["organization.costs.result"]
    amount: Amount
    line_item: str | None
    project_id: str | None
    api_key_id: str | None


@dataclass(frozen=True, slots=True)
class CostsBucket:
    """A day."""

    object: Literal["bucket"]
    start_time: int
    end_time: int
    results: list[CostsResult]


@dataclass(frozen=True, slots=True)
class CostsPage:
    """Days one after the other, those without costs too."""

    data: list[CostsBucket]
    has_more: bool
    next_page: str | None
