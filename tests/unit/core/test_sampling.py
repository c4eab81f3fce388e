"""The one table of sampling parameters: what is made from it agrees with it."""

from __future__ import annotations

import math

import pytest
from msgspec import structs

from undiced import SamplingParams
from undiced.api.limits import RANGES, in_range
from undiced.api.schemas import Body
from undiced.core.errors import InvalidRequestError
from undiced.core.sampling import BIAS, GREEDY, PARAMETERS, RECORD, Parameter, Sampling
from undiced.engine.record import SAMPLING


@pytest.mark.parametrize("row", [*PARAMETERS, BIAS], ids=lambda row: row.name)
def test_what_a_client_may_say_the_engine_can_compute_with(row: Parameter) -> None:
    assert row.engine.low <= row.wire.low <= row.default <= row.wire.high <= row.engine.high
    assert math.nan not in row.wire and math.inf not in row.engine and row.doc


@pytest.mark.parametrize("row", PARAMETERS, ids=lambda row: row.name)
def test_a_parameter_has_one_name_everywhere(row: Parameter) -> None:
    assert row.name in Body.__struct_fields__, "a member of a request"
    assert RANGES[row.name] == row.wire
    assert row.name in {field.name for field in structs.fields(SamplingParams)}, "of Python programs"
    assert row.name in SAMPLING.names, "and of the engine's record"
    assert getattr(Sampling(), row.name) == row.default


def test_the_record_is_laid_out_without_overlap_and_in_whole_words() -> None:
    assert SAMPLING.names == tuple(field.name for field in RECORD)
    assert SAMPLING.itemsize % 8 == 0


def test_bending_takes_every_parameter_and_leaves_the_rest() -> None:
    values = {row.name: row.wire.high for row in PARAMETERS}
    bent = Sampling(seed=5, logprobs=2, min_tokens=3, logit_bias=((1, 2.0),)).bent(values.__getitem__)
    assert {name: getattr(bent, name) for name in values} == values
    assert (bent.seed, bent.logprobs, bent.min_tokens, bent.logit_bias) == (5, 2, 3, ((1, 2.0),))
    assert (GREEDY.temperature, GREEDY.seed) == (0.0, 0)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [("repetition_penalty", 0, "between 0.01 and 100,"), ("seed", 2**64, f"and {2**64 - 1}, got {2**64}.")],
)
def test_a_refusal_names_the_range_to_the_last_digit(name: str, value: float, said: str) -> None:
    with pytest.raises(InvalidRequestError, match="must be between") as refused:
        in_range(name, value, RANGES[name])
    assert said in refused.value.message
