"""Errors of a translated request name what its client sent."""

from __future__ import annotations

import pytest

from undiced.api.places import Places
from undiced.core.errors import InvalidRequestError

PLACES = Places(
    {
        "messages": "input",
        "messages[0]": "instructions",
        "messages[1]": "input[0]",
        "messages[1].tool_calls[0]": "input[3]",
        "messages[1].tool_calls[0].id": "input[3].call_id",
        "max_tokens": "max_output_tokens",
    }
)


@pytest.mark.parametrize(
    ("place", "own"),
    [
        ("messages[1].content[2].type", "input[0].content[2].type"),
        ("messages[1].tool_calls[0].function.name", "input[3].function.name"),
        ("messages[1].tool_calls[0].id", "input[3].call_id"),
        ("messages[0]", "instructions"),
        ("messages[17]", "input[17]"),
        ("messages", "input"),
        ("max_tokens", "max_output_tokens"),
        ("max_tokens_more", "max_tokens_more"),
        ("temperature", "temperature"),
    ],
)
def test_the_longest_name_that_is_known_counts(place, own):
    assert PLACES.own(place) == own


def test_sentences_are_renamed_but_for_words():
    error = InvalidRequestError(
        "The messages came to 5 tokens; messages[1].tool_calls[0].id: none.",
        remedy="Please reduce the length of the messages or max_tokens.",
        param="messages",
    )
    with pytest.raises(InvalidRequestError) as found, PLACES.named():
        raise error
    assert found.value is error and error.param == "input"
    assert str(error) == (
        "The messages came to 5 tokens; input[3].call_id: none. "
        "Please reduce the length of the messages or max_output_tokens."
    )
