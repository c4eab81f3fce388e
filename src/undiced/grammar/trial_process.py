"""The process in which grammars are tried: `python -m undiced.grammar.trial_process`. Reads grammars on its standard
input, answers each on its output, and may die of any: bounded memory and processor time, no files, no children.
"""

from __future__ import annotations

import resource
import struct
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import BinaryIO

    from llguidance import LLTokenizer

HEAD = struct.Struct("<I")
MEMORY_BYTES = 1 << 30  # beyond what it has when it starts
CPU_S = 1  # for one grammar; a schema of 4 KB takes some 15 ms


def problem(tokenizer: LLTokenizer, grammar: str) -> str:
    """What is wrong with a grammar, by compiling it and taking a first step; empty: nothing."""
    from llguidance import LLMatcher

    from undiced.grammar.bounds import first_step, parser_limits

    return first_step(LLMatcher(tokenizer, grammar, log_level=0, limits=parser_limits()))


def _allow(seconds: int) -> None:
    spent = int(time.process_time())
    resource.setrlimit(resource.RLIMIT_CPU, (spent + seconds + 1, resource.RLIM_INFINITY))


def main() -> None:
    """Answer until the other side is gone."""
    from llguidance import LLTokenizer

    tokenizer = LLTokenizer("byte")
    with open("/proc/self/statm", encoding="ascii") as file:
        own = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (own + MEMORY_BYTES,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    source: BinaryIO = sys.stdin.buffer
    while head := source.read(HEAD.size):
        grammar = source.read(HEAD.unpack(head)[0]).decode()
        _allow(CPU_S)
        answer = problem(tokenizer, grammar).encode("utf-8", "replace")[:1000]
        sys.stdout.buffer.write(HEAD.pack(len(answer)) + answer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
