"""What can be done about limits and money over the management API: a line per act, as in `acts`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undiced.account.budgets import BudgetRule
from undiced.account.counters import DAY_S
from undiced.account.credits import Balance, CreditGrant
from undiced.account.limits import Limit
from undiced.account.money import Rates
from undiced.account.prices import Price
from undiced.account.usage import Invoice, UsageRow, groupings_of, month_days
from undiced.api.errors import NotFoundError
from undiced.api.management.act import Act
from undiced.api.management.asked import Page
from undiced.api.management.money_bodies import BudgetOf, NewBudget, NewCredit, NewLimit, NewPrice, PriceOf, Terms
from undiced.api.management.shapes import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from msgspec import Struct

    from undiced.api.management.act import Answer
    from undiced.api.management.asked import Asked
    from undiced.api.management.shapes import Record

    Do = Callable[[Asked], Answer]
    Shown = dict[str, object]

_ROOT = "/management/v1"
_ORG = f"{_ROOT}/orgs/{{org}}"


def _whole(records: Sequence[Record]) -> Page:
    return Page([shown(record) for record in records], has_more=False)


def _list_limits(asked: Asked) -> Page:
    place = {"project": asked.query.get("project"), "key": asked.query.get("key")}
    return _whole(asked.accounts.limits.list(asked.actor, asked.path["org"], **place))


def _set_limit(asked: Asked) -> Shown:
    new = asked.sent(NewLimit)
    place = {"project": new.project, "key": new.key}
    found = asked.accounts.limits.set(
        asked.actor, asked.path["org"], {new.limit: new.capacity}, **place, model=new.model
    )
    return shown(next(one for one in found if one.model == new.model and one.name == new.limit))


def _remove_limit(asked: Asked) -> Shown:
    return shown(asked.accounts.limits.remove(asked.actor, asked.path["org"], asked.path["limit"]))


def _list_budgets(asked: Asked) -> Page:
    return _whole(asked.accounts.budgets.list(asked.actor, asked.path["org"]))


def _set_budget(asked: Asked) -> Shown:
    new = asked.sent(NewBudget)
    place = {"project": new.project, "key": new.key}
    return shown(asked.accounts.budgets.set(asked.actor, asked.path["org"], new.amount, **place, stops=new.stops))


def _remove_budget(asked: Asked) -> Shown:
    of = asked.sent(BudgetOf)
    return shown(asked.accounts.budgets.remove(asked.actor, asked.path["org"], project=of.project, key=of.key))


def _list_credits(asked: Asked) -> Page:
    return _whole(asked.accounts.credits.list(asked.actor, asked.path["org"]))


def _add_credit(asked: Asked) -> Shown:
    new = asked.sent(NewCredit)
    made, _ = asked.accounts.credits.add(
        asked.actor, asked.path["org"], new.amount, currency=new.currency, expires=new.expires, why=new.note
    )
    return shown(made)


def _show_balance(asked: Asked) -> Shown:
    found = asked.accounts.credits.balance(asked.actor, asked.path["org"])
    if found is None:
        raise NotFoundError("The organization has no balance.", remedy="The first credit makes one.")
    return shown(found)


def _set_terms(asked: Asked) -> Shown:
    prepaid = asked.sent(Terms).prepaid
    return shown(asked.accounts.credits.set_prepaid(asked.actor, asked.path["org"], prepaid))


def _list_prices(asked: Asked) -> Page:
    return _whole(asked.accounts.prices.list(past=asked.flag("ended")))


def _set_price(asked: Asked) -> Shown:
    new = asked.sent(NewPrice)
    factors = (new.batch_permille, new.flex_permille, new.priority_permille)
    rates = Rates(new.input, new.input if new.cached_input is None else new.cached_input, new.output, *factors)
    return shown(
        asked.accounts.prices.set(asked.actor, new.model, rates, currency=new.currency, valid_from=new.valid_from)
    )


def _cancel_price(asked: Asked) -> Shown:
    return shown(asked.accounts.prices.cancel(asked.actor, asked.sent(PriceOf).model))


def _usage(asked: Asked) -> Page:
    since, until = _days(asked)
    place = {"project": asked.query.get("project"), "key": asked.query.get("key")}
    found = asked.accounts.usage.report(
        asked.actor,
        asked.path.get("org"),
        since=since,
        until=until,
        by=groupings_of(asked.query.get("by", "")),
        **place,
    )
    return _whole(found)


def _invoice(asked: Asked) -> Shown:
    return shown(asked.accounts.usage.invoice(asked.actor, asked.path["org"], asked.path["month"]))


def _days(asked: Asked) -> tuple[int, int]:
    """The days that are asked for: a month, or from a time up to another; the last thirty days by default."""
    month = asked.query.get("month")
    if month is not None:
        return month_days(month)
    today = asked.now // DAY_S
    most = 1 << 40
    since = asked.number("since", (today - 29) * DAY_S, most) // DAY_S
    return since, -(-asked.number("until", (today + 1) * DAY_S, most) // DAY_S)


def _shows(name: str, path: str, summary: str, do: Do, makes: type[Record]) -> Act:
    return Act("GET", path, "billing:read", name, summary, do, makes)


def _lists(name: str, path: str, summary: str, do: Do, makes: type[Record], *query: str) -> Act:
    return Act("GET", path, "billing:read", name, summary, do, makes, query=query, many=True)


def _sets(
    name: str, path: str, needs: str, summary: str, do: Do, makes: type[Record], body: type[Struct] | None = None
) -> Act:
    return Act("POST", path, needs, name, summary, do, makes, body)


_LIMITS, _BUDGETS, _PRICES = f"{_ORG}/limits", f"{_ORG}/budgets", f"{_ROOT}/prices"
_PLACE, _SPAN = ("project", "key"), ("since", "until", "month", "by")
MONEY_ACTS = (
    _lists("listLimits", _LIMITS, "Limits of an organization.", _list_limits, Limit, *_PLACE),
    _sets("setLimit", _LIMITS, "orgs:write", "Sets a limit; what was used stays used.", _set_limit, Limit, NewLimit),
    _sets("removeLimit", f"{_LIMITS}/{{limit}}:remove", "orgs:write", "Ends a limit.", _remove_limit, Limit),
    _lists("listBudgets", _BUDGETS, "Budgets per month.", _list_budgets, BudgetRule),
    _sets("setBudget", _BUDGETS, "projects:write", "Sets a budget.", _set_budget, BudgetRule, NewBudget),
    _sets(
        "removeBudget", f"{_BUDGETS}:remove", "projects:write", "Ends a budget.", _remove_budget, BudgetRule, BudgetOf
    ),
    _lists("listCredits", f"{_ORG}/credits", "Credits, oldest first.", _list_credits, CreditGrant),
    _sets("addCredit", f"{_ORG}/credits", "orgs:write", "Adds credit.", _add_credit, CreditGrant, NewCredit),
    _shows("showBalance", f"{_ORG}/balance", "What an organization has.", _show_balance, Balance),
    _sets("setTerms", f"{_ORG}/balance", "orgs:write", "Whether it pays in advance.", _set_terms, Balance, Terms),
    _lists("orgUsage", f"{_ORG}/usage", "What was used and charged.", _usage, UsageRow, *_SPAN, *_PLACE),
    _shows("invoice", f"{_ORG}/invoices/{{month}}", "A month, by project and model.", _invoice, Invoice),
    _lists("usage", f"{_ROOT}/usage", "What was used and charged by all.", _usage, UsageRow, *_SPAN),
    _lists("listPrices", _PRICES, "Prices that are or will be valid.", _list_prices, Price, "ended"),
    _sets("setPrice", _PRICES, "orgs:write", "Sets a price.", _set_price, Price, NewPrice),
    _sets("cancelPrice", f"{_PRICES}:cancel", "orgs:write", "Takes back one to come.", _cancel_price, Price, PriceOf),
)
