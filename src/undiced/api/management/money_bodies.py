"""What may be sent to the management API about limits and money. Amounts are in nanos, billionths of the currency's
unit; prices are what a million tokens cost.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from undiced.account.limits import MEASURES

OfProject = Annotated[str | None, Meta(description="Of this project instead of the organization, by name or id.")]
OfKey = Annotated[str | None, Meta(description="Of this key instead of the organization, by id.")]
Nanos = Annotated[int, Meta(description="In nanos.", examples=[350_000_000])]
Currency = Annotated[str, Meta(description="Three letters; one for all.", examples=["USD"])]
Permille = Annotated[int, Meta(description="The factor of a class of service, in thousandths.")]


class NewLimit(Struct):
    """A limit."""

    limit: Annotated[str, Meta(description=f"Which: {', '.join(MEASURES)}.", examples=["tpm"])]
    capacity: Annotated[int, Meta(description="Requests or tokens per window, or requests at once.", examples=[1000])]
    project: OfProject = None
    key: OfKey = None
    model: Annotated[str, Meta(description="For this model alone; empty for all together.")] = ""


class NewBudget(Struct):
    """A budget per calendar month in UTC."""

    amount: Nanos
    project: OfProject = None
    key: OfKey = None
    stops: Annotated[bool, Meta(description="Refuse what goes beyond; else only tell.")] = True


class BudgetOf(Struct):
    """Whose budget."""

    project: OfProject = None
    key: OfKey = None


class NewCredit(Struct):
    """Credit; the first one makes a prepaid balance."""

    amount: Nanos
    currency: Currency = "USD"
    expires: Annotated[int | None, Meta(description="When what remains of it is lost, in Unix seconds.")] = None
    note: Annotated[str, Meta(description="What it is for.")] = ""


class Terms(Struct):
    """How an organization pays."""

    prepaid: Annotated[bool, Meta(description="In advance: nothing runs that the balance does not cover.")]


class NewPrice(Struct):
    """A price per million tokens, from a time on."""

    model: Annotated[str, Meta(description="As GET /v1/models names it.", examples=["smollm2-135m"])]
    input: Nanos
    output: Nanos
    cached_input: Annotated[int | None, Meta(description="Of cached prompt tokens; null for that of the others.")] = (
        None
    )
    currency: Currency = "USD"
    valid_from: Annotated[int | None, Meta(description="In Unix seconds; null for now.")] = None
    batch_permille: Permille = 500
    flex_permille: Permille = 500
    priority_permille: Permille = 1500


class PriceOf(Struct):
    """Whose price."""

    model: Annotated[str, Meta(description="As GET /v1/models names it.", examples=["smollm2-135m"])]


MONEY_BODIES: tuple[type[Struct], ...] = (NewLimit, NewBudget, BudgetOf, NewCredit, Terms, NewPrice, PriceOf)
