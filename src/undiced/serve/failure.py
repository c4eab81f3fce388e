"""What can go wrong with one sequence alone: it ends with an error of its own, the engine and all others go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undiced.core.errors import EngineError, InvalidRequestError, NonFiniteLogitsError, NothingAllowedError
from undiced.engine.backend import NoToken

if TYPE_CHECKING:
    from undiced.core.errors import UndicedError


GRAMMAR_FAILED = -100  # beside the values of NoToken


def failure(reason: int) -> UndicedError:
    """The error of a sequence that got no token, by what stood in its token's place."""
    if reason == NoToken.NON_FINITE:
        return NonFiniteLogitsError(
            "The model computed infinity or NaN for this sequence, so no token can be chosen.",
            remedy="Change the prompt; if others fail as well, the model's file is damaged.",
        )
    if reason == NoToken.NOTHING_ALLOWED:
        return NothingAllowedError(
            "Every token is forbidden at this point of the answer, so none can be chosen.",
            remedy="Lower min_tokens, or name fewer stop_token_ids.",
        )
    if reason == GRAMMAR_FAILED:
        return InvalidRequestError(
            "What the answer has to look like became too much to compute at this point of it.",
            remedy="Simplify the schema, regular expression or grammar.",
        )
    return EngineError("The engine failed while it generated this answer.", remedy="Send the request again.")
