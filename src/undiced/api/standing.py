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
_WINDOWS = {60: "minute", 3600: "hour", DAY_S: "day"}
_METRICS = {"requests": "requests", "tokens": "tokens"}


def standing_headers(standings: Iterable[Standing], now_s: float, *, anthropic: bool = False) -> dict[str, str]:
    """The headers; those of Anthropic's format beside the others where a client reads them.

    Args:
        now_s: Unix time, for headers that name a time.
    """
    headers: dict[str, str] = {}
    for (metric, window_s), one in _tightest(standings).items():
        name = f"{metric}-{_WINDOWS[window_s]}"
        headers[f"x-ratelimit-limit-{name}"] = str(one.capacity)
        headers[f"x-ratelimit-remaining-{name}"] = str(one.left)
        headers[f"x-ratelimit-reset-{name}"] = f"{one.reset_s:.3f}"
        if window_s == 60:
            headers[f"x-ratelimit-limit-{metric}"] = str(one.capacity)
            headers[f"x-ratelimit-remaining-{metric}"] = str(one.left)
            headers[f"x-ratelimit-reset-{metric}"] = duration(one.reset_s)
            if anthropic:
                headers |= _anthropic(metric, one, now_s)
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
        if key[0] and key[1] in _WINDOWS and (key not in found or one.left < found[key].left):
            found[key] = one
    return found


def _anthropic(metric: str, one: Standing, now_s: float) -> dict[str, str]:
    full = datetime.fromtimestamp(now_s, UTC).replace(microsecond=0) + timedelta(seconds=-(-one.reset_s // 1))
    return {
        f"anthropic-ratelimit-{metric}-limit": str(one.capacity),
        f"anthropic-ratelimit-{metric}-remaining": str(one.left),
        f"anthropic-ratelimit-{metric}-reset": full.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
