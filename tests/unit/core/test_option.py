"""Choices in messages: Python reads them as it writes them, the command line as its options."""

import pytest

from undiced.core.option import as_command_options, option


@pytest.mark.parametrize(
    ("name", "value", "python", "terminal"),
    [
        ("wafers", 4, "wafers=4", "--wafers 4"),
        ("mapping", "undiced", 'mapping="undiced"', "--mapping undiced"),
        ("sum_bits", 16, "sum_bits=16", "--sum-bits 16"),
        ("region", "240x256", 'region="240x256"', "--region 240x256"),
        ("machine", "FILE.toml", 'machine="FILE.toml"', "--machine FILE.toml"),
        ("clock", 0.85, "clock=0.85", "--clock 0.85"),
    ],
)
def test_a_choice_in_both_languages(name, value, python, terminal):
    assert option(name, value) == python
    assert as_command_options(f"Use {python}, or {python}.") == f"Use {terminal}, or {terminal}."


def test_other_words_stay():
    text = "base=wse3, a context of 4 and max_tokens=5 are no options."
    assert as_command_options(text) == text


def test_an_option_that_nobody_has_is_refused():
    with pytest.raises(AssertionError, match="no caller can set"):
        option("wafer", 4)
