"""What a step of a program works on: how many tokens, of how many sequences, at which context. Knows no program."""

from __future__ import annotations

from dataclasses import dataclass, replace

from undiced.core.errors import CompileError

SEQUENCES_MAX, TOKENS_MAX, CONTEXT_MAX = 1 << 20, 1 << 20, 1 << 27  # ours


@dataclass(frozen=True, slots=True)
class Step:
    """One pass of a program.

    Attributes:
        sequences: how many it serves at once.
        tokens: new tokens of each; 1 while decoding. A chunk's lie side by side, the innermost elements of all that
            exists once a token, so that one vector operation serves all of them.
        context: positions that each has in the end, the new ones included.
        crowd: where groups of cores share experts out, what part of all choices the fullest has; 1: all crowd there.
        distinct: what part of its choices are experts that no other token of the step chose before.

    Raises:
        CompileError: more than any machine is asked for, or fewer positions than new tokens.
    """

    sequences: int = 1
    tokens: int = 1
    context: int = 1024
    crowd: float = 1.0
    distinct: float = 1.0

    def __post_init__(self) -> None:
        limits = (
            ("batch", self.sequences, SEQUENCES_MAX),
            ("number of tokens", self.tokens, TOKENS_MAX),
            ("context", self.context, CONTEXT_MAX),
        )
        for name, value, most in limits:
            if not 1 <= value <= most:
                raise CompileError(f"A {name} of {value} is out of range.", remedy=f"Use 1 to {most}.")
        if not (0 < self.crowd <= 1 and 0 < self.distinct <= 1):
            raise CompileError(
                f"{self.crowd:g} and {self.distinct:g} of all choices are no shares.",
                remedy="Use more than 0, up to 1.",
            )
        if self.tokens > self.context:
            raise CompileError(
                f"{self.tokens} new tokens are no context of {self.context}.", remedy="The context includes them."
            )

    @property
    def size(self) -> int:
        """Tokens in all."""
        return self.sequences * self.tokens

    @property
    def ending(self) -> Step:
        """What the streams of a model's end work on: the last token of each sequence."""
        return replace(self, tokens=1)


FULL = Step(context=CONTEXT_MAX)
