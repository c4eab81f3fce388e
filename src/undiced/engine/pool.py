"""How main memory is divided between the engines of one machine: weights first, then pages for keys and values.

Knows programs and sizes; allocates nothing.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

from msgspec import Struct

from undiced.core.errors import CompileError
from undiced.core.memory import main_memory_bytes
from undiced.core.option import option
from undiced.engine.backend import PAGE_TOKENS
from undiced.engine.weights import resident_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undiced.program import HostProgram

_KV_SHARE = 0.25  # of main memory, at most, for the pages of all engines; they are touched only once used


class _Need(Struct, frozen=True):
    """What a program takes, in bytes, and in pages: for one sequence at full context, and for all of them."""

    model: str
    weight_bytes: int
    page_bytes: int
    least: int
    most: int

    @property
    def least_bytes(self) -> int:
        return self.weight_bytes + self.least * self.page_bytes


def pool_bytes(program: HostProgram, pages: int) -> int:
    """Bytes of so many pages over all layers."""
    return pages * sum(k.position_bytes * PAGE_TOKENS for k in program.kv)


def pools(programs: Sequence[HostProgram], drafts: Sequence[HostProgram | None] = ()) -> list[int]:
    """The pages of each of the programs that run at the same time.

    All weights go first. For pages there is what they leave, at most a quarter of main memory. A program gets pages for
    one sequence at full context, and of the rest in proportion to what all its sequences could need, which is also the
    most that it gets. A program's draft model, if it has one, has as many pages of its own size.

    Raises:
        CompileError: weights and a sequence each do not fit into main memory.
    """
    each = zip_longest(programs, drafts)
    needs, memory = [_need(program, draft) for program, draft in each if program is not None], main_memory_bytes()
    if sum(need.least_bytes for need in needs) > memory:
        raise _too_large(needs, memory)
    left = min(int(memory * _KV_SHARE), memory - sum(need.weight_bytes for need in needs))
    left -= sum(need.least * need.page_bytes for need in needs)
    wanted = sum((need.most - need.least) * need.page_bytes for need in needs)
    share = 0.0 if left <= 0 else 1.0 if wanted <= left else left / wanted
    return [need.least + int((need.most - need.least) * share) for need in needs]


def _need(program: HostProgram, draft: HostProgram | None = None) -> _Need:
    both = (program,) if draft is None else (program, draft)
    a_sequence = -(-program.bounds.context // PAGE_TOKENS)
    return _Need(
        program.model,
        sum(resident_bytes(slot) for one in both for slot in one.slots),
        sum(pool_bytes(one, 1) for one in both),
        a_sequence,
        program.bounds.batch * a_sequence,
    )


def _too_large(needs: Sequence[_Need], memory: int) -> CompileError:
    each = "; ".join(
        f"{need.model}: {_gb(need.weight_bytes)} of weights, {_gb(need.least * need.page_bytes)} for one sequence"
        for need in needs
    )
    total = _gb(sum(need.least_bytes for need in needs))
    return CompileError(
        f"{total} are needed, and there are {_gb(memory)} of main memory ({each}).",
        remedy=f"Choose fewer or smaller models, or a shorter context, as in {option('max_context', 1024)}.",
    )


def _gb(count: int) -> str:
    return f"{count / 1e9:.2f} GB"
