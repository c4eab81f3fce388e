"""Bounds: how large and how hard a grammar may be. Far below what the library allows, because others wait meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLParserLimits

MAX_CHARS = 64_000  # of a schema, a regular expression or a grammar
MAX_DEPTH = 50  # of objects and lists in a schema
MAX_NODES = 4_000  # of them, and of the values in them
MAX_VALUES = 1_000  # of an enum
_UNSATISFIABLE = "nothing satisfies it"


def parser_limits() -> LLParserLimits:
    """What a grammar may take of the parser.

    The library's own measure of speed is 50,000 units of fuel a millisecond for the first, 14,000 for a step, 20,000
    items, and one to two kB a state. A step's items are counted less strictly than its fuel: with 20,000 of them an
    ambiguous grammar took 23 ms for a mask, with 4,000 it takes 4.
    """
    from llguidance import LLParserLimits

    return LLParserLimits(
        max_items_in_row=500,
        initial_lexer_fuel=400_000,
        step_lexer_fuel=20_000,
        step_max_items=4_000,
        max_lexer_states=100_000,
        max_grammar_size=50_000,
        verbose_errors=False,
    )


def first_step(matcher: LLMatcher) -> str:
    """What goes wrong in a grammar's first step, or went wrong before; empty: nothing."""
    if not matcher.is_error():
        matcher.compute_bitmask()
        matcher.compute_ff_tokens()
    if matcher.is_error() and "NoExtension" not in matcher.get_error():
        return matcher.get_error()
    return _UNSATISFIABLE if matcher.is_stopped() and not matcher.is_accepting() else ""
