"""Usage and costs at the paths and in the shapes that OpenAI has, so that its clients and dashboards read them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from undiced.account.counters import DAY_S
from undiced.account.money import NANOS
from undiced.account.periods import WIDTHS, Choice
from undiced.api.management.act import Act
from undiced.api.management.openai_shapes import (
    Amount,
    CostsBucket,
    CostsPage,
    CostsResult,
    UsageBucket,
    UsagePage,
    UsageResult,
)
from undiced.api.management.shapes import shown
from undiced.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Callable

    from undiced.account.periods import Part, PeriodRow, Width
    from undiced.api.management.asked import Asked

_TIME_MOST = 1 << 40
_PAGE = re.compile(r"page_([0-9]{1,13})")
_GROUPS: Mapping[str, Part] = {"project_id": "project_id", "api_key_id": "key_id", "model": "model"}
_COST_GROUPS: Mapping[str, Part] = {"project_id": "project_id", "api_key_id": "key_id", "line_item": "model"}
BUCKETS: Mapping[Width, tuple[int, int]] = {"1m": (60, 1440), "1h": (24, 168), "1d": (7, 31)}  # of a page: usual, most
COST_BUCKETS = (7, 180)
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class _Stretch:
    """The buckets of a page. `after`: where the next page begins; None for the last one."""

    width: Width
    starts: range
    after: int | None

    @property
    def cursor(self) -> str | None:
        return None if self.after is None else f"page_{self.after}"


def _usage(asked: Asked) -> dict[str, object]:
    width = _width(asked)
    stretch = _stretch(asked, width, *BUCKETS[width])
    rows = _rows(asked, stretch, _GROUPS, asked.lists.get("models", ()))
    found = _by_start(rows, stretch, _used)
    data = [UsageBucket("bucket", start, start + WIDTHS[width], results) for start, results in found.items()]
    return shown(UsagePage(data, stretch.after is not None, stretch.cursor))


def _costs(asked: Asked) -> dict[str, object]:
    _width(asked, only="1d")
    stretch = _stretch(asked, "1d", *COST_BUCKETS)
    rows = _rows(asked, stretch, _COST_GROUPS, asked.lists.get("line_items", ()))
    currency = (asked.accounts.prices.currency() or "usd").lower()
    found = _by_start(rows, stretch, lambda row: _cost(row, currency))
    data = [CostsBucket("bucket", start, start + DAY_S, results) for start, results in found.items()]
    return shown(CostsPage(data, stretch.after is not None, stretch.cursor))


def _used(row: PeriodRow) -> UsageResult:
    return UsageResult(
        "organization.usage.completions.result",
        row.prompt_tokens,
        row.cached_tokens,
        row.prompt_tokens - row.cached_tokens,
        row.completion_tokens,
        row.requests,
        row.group.get("project_id"),
        row.group.get("key_id"),
        row.group.get("model"),
    )


def _cost(row: PeriodRow, currency: str) -> CostsResult:
    group = row.group
    places = (group.get("model"), group.get("project_id"), group.get("key_id"))
    return CostsResult("organization.costs.result", Amount(row.charge / NANOS, currency), *places)


def _by_start(rows: list[PeriodRow], stretch: _Stretch, told: Callable[[PeriodRow], Result]) -> dict[int, list[Result]]:
    """The results of each bucket of a page; none where nothing was used."""
    found: dict[int, list[Result]] = {start: [] for start in stretch.starts}
    for row in rows:
        found[row.start].append(told(row))
    return found


def _rows(asked: Asked, stretch: _Stretch, groups: Mapping[str, Part], models: tuple[str, ...]) -> list[PeriodRow]:
    named = asked.lists.get("group_by", ())
    if (unknown := next((name for name in named if name not in groups), None)) is not None:
        message = f"group_by can't be '{unknown[:40]}' here."
        raise InvalidRequestError(message, remedy=f"Use some of {', '.join(groups)}.", param="group_by")
    by = [part for name, part in groups.items() if name in named]
    places = (asked.lists.get("project_ids", ()), asked.lists.get("api_key_ids", ()))
    choice = Choice(asked.query.get("org"), *places, models, by)
    starts = stretch.starts
    return asked.accounts.periods.sums(asked.actor, choice, stretch.width, starts.start, starts.stop)


def _width(asked: Asked, only: Width | None = None) -> Width:
    named = asked.query.get("bucket_width", "1d")
    widths: tuple[Width, ...] = tuple(WIDTHS) if only is None else (only,)
    for width in widths:
        if width == named:
            return width
    remedy = f"Use {', '.join(widths)}."
    raise InvalidRequestError(f"bucket_width is '{named[:40]}'.", remedy=remedy, param="bucket_width")


def _stretch(asked: Asked, width: Width, usual: int, most: int) -> _Stretch:
    """The buckets that are asked for: whole ones, from the one that holds `start_time`, or from where `page` says."""
    if "start_time" not in asked.query:
        raise InvalidRequestError("start_time is missing.", remedy="Send it in Unix seconds.", param="start_time")
    since, until = asked.number("start_time", 1, _TIME_MOST), asked.number("end_time", asked.now + 1, _TIME_MOST)
    if until <= since:
        raise InvalidRequestError("end_time is not after start_time.", remedy="Give a later one.", param="end_time")
    width_s = WIDTHS[width]
    end = -(-until // width_s) * width_s
    begin = _begin(asked, range(since // width_s * width_s, end, width_s))
    stop = min(end, begin + asked.number("limit", usual, most) * width_s)
    return _Stretch(width, range(begin, stop, width_s), None if stop == end else stop)


def _begin(asked: Asked, starts: range) -> int:
    cursor = asked.query.get("page")
    if cursor is None:
        return starts.start
    found = _PAGE.fullmatch(cursor)
    if found is None or int(found[1]) not in starts:
        remedy = "Send the next_page of the page before, and all else as before."
        raise InvalidRequestError(f"page is '{cursor[:40]}'.", remedy=remedy, param="page")
    return int(found[1])


_SPAN = ("start_time", "end_time", "bucket_width", "limit", "page", "org")
_NARROW = ("project_ids", "api_key_ids", "group_by")
_READS = "billing:read"
OPENAI_ACTS = (
    Act(
        "GET", "/v1/organization/usage/completions", _READS, "openaiUsage", "Usage, in OpenAI's shape.", _usage,
        UsagePage, query=_SPAN, lists=(*_NARROW, "models"),
    ),
    Act(
        "GET", "/v1/organization/costs", _READS, "openaiCosts", "Costs, in OpenAI's shape.", _costs,
        CostsPage, query=_SPAN, lists=(*_NARROW, "line_items"),
    ),
)  # fmt: skip
