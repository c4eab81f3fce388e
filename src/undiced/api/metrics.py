"""Prometheus metrics of the edge: real counters and histograms, so that a missed scrape loses nothing. Fed once a
request, never once a token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

if TYPE_CHECKING:
    from undiced.serve import EngineStats, UsageEvent

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_TOKEN_SECONDS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 1.0)


class Metrics:
    """The metrics of one server, in a registry of their own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # twice the lines for nobody
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "undiced_requests", "HTTP requests to the inference endpoints.", ["path", "code"], registry=self.registry
        )
        self.stream_errors = Counter(
            "undiced_stream_errors",
            "Streams that ended with an error after they had begun.",
            ["code"],
            registry=self.registry,
        )
        self.sequences = Counter(
            "undiced_sequences", "Sequences that ended, by reason.", ["reason"], registry=self.registry
        )
        self.prompt_tokens = Counter(
            "undiced_prompt_tokens", "Prompt tokens of ended requests.", registry=self.registry
        )
        self.cached_tokens = Counter(
            "undiced_cached_prompt_tokens", "Prompt tokens found in the prefix cache.", registry=self.registry
        )
        self.completion_tokens = Counter(
            "undiced_completion_tokens", "Generated tokens of ended sequences.", registry=self.registry
        )
        self.queue = Histogram(
            "undiced_queue_seconds",
            "From arrival to the first step of a sequence.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.ttft = Histogram(
            "undiced_time_to_first_token_seconds",
            "From the request to its first token.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.tpot = Histogram(
            "undiced_time_per_output_token_seconds",
            "Between tokens after the first.",
            buckets=_TOKEN_SECONDS,
            registry=self.registry,
        )
        self.duration = Histogram(
            "undiced_request_seconds",
            "From the request to the end of its answer.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.running = Gauge("undiced_sequences_running", "Sequences that hold KV pages.", registry=self.registry)
        self.waiting = Gauge("undiced_sequences_waiting", "Sequences in the queue.", registry=self.registry)
        self.pages = Gauge("undiced_kv_pages", "KV pages by use.", ["use"], registry=self.registry)
        self.steps = Gauge("undiced_engine_steps", "Steps since the engine started.", registry=self.registry)
        self.preemptions = Gauge(
            "undiced_engine_preemptions",
            "Sequences put back because pages ran out, since the engine started.",
            registry=self.registry,
        )

    def ended(self, event: UsageEvent) -> None:
        """Count a sequence that ended; a prompt once, as `usage` does, however many choices share it."""
        self.sequences.labels(event.finish_reason).inc()
        if not event.prompt_shared:
            self.prompt_tokens.inc(event.prompt_tokens)
            self.cached_tokens.inc(event.cached_tokens)
        self.completion_tokens.inc(event.completion_tokens)
        self.queue.observe(event.queue_s)
        if event.completion_tokens > 1:
            self.tpot.observe(event.completion_s / (event.completion_tokens - 1))

    def render(self, stats: EngineStats) -> bytes:
        """The exposition text, with the engine's latest figures."""
        self.running.set(stats.running)
        self.waiting.set(stats.waiting)
        self.pages.labels("used").set(stats.pages_used)
        self.pages.labels("cached").set(stats.pages_cached)
        self.pages.labels("free").set(stats.pages - stats.pages_used - stats.pages_cached)
        self.steps.set(stats.steps)
        self.preemptions.set(stats.preemptions)
        return generate_latest(self.registry)
