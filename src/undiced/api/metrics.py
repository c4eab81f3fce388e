"""Prometheus metrics of the edge: real counters and histograms, so that a missed scrape loses nothing.

Fed once per request, never once per token. What belongs to a model carries its name as the label `model`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

from undiced.api.organization_metrics import OrganizationMetrics

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from undiced.remote.client import Health
    from undiced.serve import EngineStats, UsageEvent

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_MODEL = ("model",)
_GUESSES = ("model", "source")
_SOURCES = ("lookup", "draft")  # from texts that are there, or by a draft model
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_TOKEN_SECONDS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 1.0)


class Metrics:
    """The metrics of one server, in a registry of their own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # twice the lines for nobody
        self.registry = CollectorRegistry()

        def counter(name: str, note: str, *labels: str) -> Counter:
            return Counter(f"undiced_{name}", note, labels or _MODEL, registry=self.registry)

        def gauge(name: str, note: str, *labels: str) -> Gauge:
            return Gauge(f"undiced_{name}", note, labels or _MODEL, registry=self.registry)

        def histogram(name: str, note: str, buckets: Sequence[float] = _SECONDS) -> Histogram:
            return Histogram(f"undiced_{name}", note, _MODEL, buckets=buckets, registry=self.registry)

        self.requests = counter("requests", "HTTP requests to the inference endpoints.", "path", "code")
        self.stream_errors = counter(
            "stream_errors", "Streams that ended with an error after they had begun.", "model", "code"
        )
        self.sequences = counter("sequences", "Sequences that ended, by reason.", "model", "reason")
        self.prompt_tokens = counter("prompt_tokens", "Prompt tokens of ended requests.")
        self.cached_tokens = counter("cached_prompt_tokens", "Prompt tokens found in the prefix cache.")
        self.completion_tokens = counter("completion_tokens", "Generated tokens of ended sequences.")
        self.drafted_tokens = counter("drafted_tokens", "Tokens that were guessed ahead, by who did.", *_GUESSES)
        self.accepted_tokens = counter("accepted_draft_tokens", "Those of them that were drawn.", *_GUESSES)
        self.queue = histogram("queue_seconds", "From arrival to the first step of a sequence.")
        self.ttft = histogram("time_to_first_token_seconds", "From the request to its first token.")
        self.tpot = histogram("time_per_output_token_seconds", "Between tokens after the first.", _TOKEN_SECONDS)
        self.duration = histogram("request_seconds", "From the request to the end of its answer.")
        self.running = gauge("sequences_running", "Sequences that hold KV pages.")
        self.waiting = gauge("sequences_waiting", "Sequences in the queue.")
        self.pages = gauge("kv_pages", "KV pages by use.", "model", "use")
        self.steps = gauge("engine_steps", "Steps since the engine started.")
        self.joules = gauge("engine_joules", "Joules of all steps since the engine started; absent where not known.")
        self.preemptions = gauge(
            "engine_preemptions", "Sequences put back because pages ran out, since the engine started."
        )
        self.up = gauge("engine_up", "1 while an engine takes requests, else 0.")
        self.restarts = counter("engine_restarts", "How often an engine that died was started again.")
        self.organizations = OrganizationMetrics(self.registry, _SECONDS)
        self._models: dict[str, ModelMetrics] = {}

    def of(self, model: str) -> ModelMetrics:
        """The metrics of one model; the same object for the same name."""
        found = self._models.get(model)
        if found is None:
            found = self._models[model] = ModelMetrics(self, model)
        return found

    def render(self, engines: Mapping[str, tuple[EngineStats, Health]]) -> bytes:
        """The exposition text, with the latest figures of each model's engine, and how it is."""
        for model, (stats, health) in engines.items():
            self.of(model).see(stats, health)
        return generate_latest(self.registry)


class ModelMetrics:
    """What is counted of one model."""

    def __init__(self, all_models: Metrics, model: str) -> None:
        self._all, self._model = all_models, model
        self._prompt_tokens = all_models.prompt_tokens.labels(model)
        self._cached_tokens = all_models.cached_tokens.labels(model)
        self._completion_tokens = all_models.completion_tokens.labels(model)
        self._guesses = [
            (all_models.drafted_tokens.labels(model, source), all_models.accepted_tokens.labels(model, source))
            for source in _SOURCES
        ]
        self._queue = all_models.queue.labels(model)
        self._tpot = all_models.tpot.labels(model)
        self._restarts, self._restarts_seen = all_models.restarts.labels(model), 0
        self.ttft = all_models.ttft.labels(model)
        self.duration = all_models.duration.labels(model)

    def ended(self, event: UsageEvent) -> None:
        """Count a sequence that ended; a prompt once, as `usage` does, however many choices share it."""
        self._all.sequences.labels(self._model, event.finish_reason).inc()
        if not event.prompt_shared:
            self._prompt_tokens.inc(event.prompt_tokens)
            self._cached_tokens.inc(event.cached_tokens)
        self._completion_tokens.inc(event.completion_tokens)
        looked_up = event.drafted_tokens - event.modeled_tokens, event.accepted_tokens - event.modeled_accepted
        modeled = event.modeled_tokens, event.modeled_accepted
        for counters, counts in zip(self._guesses, (looked_up, modeled), strict=True):
            for counter, count in zip(counters, counts, strict=True):
                counter.inc(count)
        self._queue.observe(event.queue_s)
        if event.completion_tokens > 1:
            self._tpot.observe(event.completion_s / (event.completion_tokens - 1))

    def see(self, stats: EngineStats, health: Health) -> None:
        """Take over the engine's latest figures."""
        every, model = self._all, self._model
        self._restarts.inc(health.restarts - self._restarts_seen)
        self._restarts_seen = health.restarts
        every.up.labels(model).set(health.state == "ready")
        every.running.labels(model).set(stats.running)
        every.waiting.labels(model).set(stats.waiting)
        every.pages.labels(model, "used").set(stats.pages_used)
        every.pages.labels(model, "cached").set(stats.pages_cached)
        every.pages.labels(model, "free").set(stats.pages - stats.pages_used - stats.pages_cached)
        every.steps.labels(model).set(stats.steps)
        every.preemptions.labels(model).set(stats.preemptions)
        if stats.joules > 0:
            every.joules.labels(model).set(stats.joules)
