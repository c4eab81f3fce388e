"""Prometheus metrics by organization: what each used, and how long it waited. In families of their own, so that those
of the whole server stay as they are and as few.

Every label costs memory here and at whoever scrapes: the first organizations that ask have series of their own, the
rest share one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Histogram

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prometheus_client import CollectorRegistry

    from undiced.api.meter import Counts

OTHERS = "other"
MOST = 200  # organizations with series of their own
_LABELS = ("organization", "model")


class OrganizationMetrics:
    """See the file's head. Organizations go by their ids."""

    def __init__(self, registry: CollectorRegistry, buckets: Sequence[float]) -> None:
        def counter(name: str, note: str, *more: str) -> Counter:
            return Counter(f"undiced_organization_{name}", note, (*_LABELS, *more), registry=registry)

        def histogram(name: str, note: str) -> Histogram:
            labels = _LABELS[:1]
            return Histogram(f"undiced_organization_{name}", note, labels, buckets=buckets, registry=registry)

        self.requests = counter("requests", "Requests to the inference endpoints, by organization.", "code")
        self.prompt_tokens = counter("prompt_tokens", "Prompt tokens that an organization is charged for.")
        self.cached_tokens = counter("cached_prompt_tokens", "Those of them that were found in the prefix cache.")
        self.completion_tokens = counter("completion_tokens", "Generated tokens that an organization is charged for.")
        self.queue = histogram("queue_seconds", "From arrival to the first step of a sequence.")
        self.ttft = histogram("time_to_first_token_seconds", "From the request to its first token.")
        self.duration = histogram("request_seconds", "From the request to the end of its answer.")
        self._own: dict[str, OwnMetrics] = {}

    def of(self, org_id: str) -> OwnMetrics:
        """The metrics of one organization, or of all that came later than the first ones."""
        name = org_id if org_id in self._own or len(self._own) < MOST else OTHERS
        found = self._own.get(name)
        if found is None:
            found = self._own[name] = OwnMetrics(self, name)
        return found


class OwnMetrics:
    """What is counted of one organization."""

    def __init__(self, every: OrganizationMetrics, name: str) -> None:
        self._all, self._name = every, name
        self.queue, self.ttft, self.duration = (
            family.labels(name) for family in (every.queue, every.ttft, every.duration)
        )

    def answered(self, model: str, status: int) -> None:
        """Count a request; `model` is empty where it named none that is served."""
        self._all.requests.labels(self._name, model, str(status)).inc()

    def charged(self, model: str, counts: Counts) -> None:
        """Count the tokens that a request is charged for."""
        self._all.prompt_tokens.labels(self._name, model).inc(counts.prompt_tokens)
        self._all.cached_tokens.labels(self._name, model).inc(counts.cached_tokens)
        self._all.completion_tokens.labels(self._name, model).inc(counts.completion_tokens)
