"""Headers that tell how a caller's limits stand: Cerebras' by window in seconds, OpenAI's of the minute in Go's
durations, Anthropic's with times. Where several limits count the same, the one with the least left is told.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from undiced.account.ledger_records import Standing

DAY_S = 86_400
MOST_TOKENS = "x-undiced-max-tokens"  # the balance covers no longer an answer
BUDGET = "x-undiced-over-budget"  # budgets that only warn, and are used up
STANDING = "undiced.standing"  # the member of an ASGI scope with headers that every answer to the request carries
WINDOWS = {60: "minute", 3600: "hour", DAY_S: "day"}
_METRICS = {"requests": "requests", "tokens": "tokens", "uncached_tokens": "uncached-tokens"}
_PARTS = ("limit", "remaining", "reset")
_SHORT = ("requests", "tokens")  # what OpenAI and Anthropic have names for
HEADER_NAMES = (
    *(f"x-ratelimit-{part}-{name}-{window}"
      for name in _METRICS.values() for window in WINDOWS.values() for part in _PARTS),
    *(f"x-ratelimit-{part}-{name}" for name in _SHORT for part in _PARTS),
    *(f"anthropic-ratelimit-{name}-{part}" for name in _SHORT for part in _PARTS),
)  # fmt: skip


def standing_headers(standings: Iterable[Standing], now_s: float, *, anthropic: bool = False) -> dict[str, str]:
    """The headers; those of Anthropic's format beside the others where a client reads them.

    Args:
        now_s: Unix time, for headers that name a time.
    """
    headers: dict[str, str] = {}
    tightest = _tightest(standings)
    for (name, window_s), one in tightest.items():
        headers |= _told(f"{name}-{WINDOWS[window_s]}", one, f"{one.reset_s:.3f}")
    for name in _SHORT:
        if (found := tightest.get((name, 60))) is not None:
            headers |= _told(name, found, duration(found.reset_s))
            if anthropic:
                headers |= _anthropic(name, found, now_s)
    return headers


def duration(seconds: float) -> str:
    """A span as Go writes it: 12ms, 6.5s, 6m0s, 1h0m0s."""
    millis = round(seconds * 1000)
    if millis < 1000:
        return f"{millis}ms"
    minutes, rest = divmod(millis, 60_000)
    shown = f"{rest / 1000:g}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{shown}" if hours else f"{minutes}m{shown}" if minutes else shown


def _tightest(standings: Iterable[Standing]) -> Mapping[tuple[str, int], Standing]:
    found: dict[tuple[str, int], Standing] = {}
    for one in standings:
        key = (_METRICS.get(one.metric, ""), one.window_s)
        if key[0] and key[1] in WINDOWS and (key not in found or one.left < found[key].left):
            found[key] = one
    return found


def _told(name: str, one: Standing, reset: str) -> dict[str, str]:
    values = (str(one.capacity), str(one.left), reset)
    return {f"x-ratelimit-{part}-{name}": value for part, value in zip(_PARTS, values, strict=True)}


def _anthropic(metric: str, one: Standing, now_s: float) -> dict[str, str]:
    full = datetime.fromtimestamp(now_s, UTC).replace(microsecond=0) + timedelta(seconds=-(-one.reset_s // 1))
    return {
        f"anthropic-ratelimit-{metric}-limit": str(one.capacity),
        f"anthropic-ratelimit-{metric}-remaining": str(one.left),
        f"anthropic-ratelimit-{metric}-reset": full.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
