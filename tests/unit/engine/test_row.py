"""Rows that Python packs are numpy's records, and steps of plain memory are those of arrays."""

import numpy as np

from undiced.core.sampling import GREEDY, PARAMETERS, Sampling
from undiced.engine.backend import PlainStep
from undiced.engine.record import SAMPLING, greedy
from undiced.engine.row import OFFSETS, ROW, likeliest_row, row_of


def test_a_packed_row_is_numpys_record():
    numbers = {"temperature": 0.5, "top_p": 0.25, "top_k": 7, "min_p": 0.125, "repetition_penalty": 1.1,
               "frequency_penalty": 0.75, "presence_penalty": -0.5}  # fmt: skip
    sampling = Sampling(**numbers, seed=(1 << 64) - 1, logprobs=3)
    [row] = np.frombuffer(row_of(5, sampling), SAMPLING)
    assert {field.name: row[field.name] for field in PARAMETERS} == {
        name: np.dtype(SAMPLING[name]).type(value) for name, value in numbers.items()
    }
    assert [row[name] for name in ("slot", "target", "top_logprobs", "min_tokens_mask", "mask", "seed", "counter")] == [
        5, -1, 3, 0, -1, (1 << 64) - 1, 0,
    ]  # fmt: skip
    assert ROW.size == SAMPLING.itemsize
    assert {name: entry[1] for name, entry in SAMPLING.fields.items()} == OFFSETS


def test_the_likeliest_token_is_drawn_by_the_same_row():
    assert likeliest_row(3) == greedy(np.array([3], np.int32)).tobytes() == row_of(3, GREEDY)
    assert row_of(0, Sampling(temperature=1e-7, seed=0)) == row_of(0, GREEDY), "colder than single precision can tell"


def test_plain_memory_and_arrays_are_one():
    flat = memoryview(bytearray(24)).cast("i", (2, 3))
    rows = memoryview(bytearray(likeliest_row(0) + likeliest_row(1)))
    numbers = memoryview(bytearray(8)).cast("i")
    step = PlainStep(numbers, numbers, numbers, numbers, flat, numbers, rows, hidden=True).arrays()
    step.page_table[1, 2], step.sampling["slot"][1] = 7, 9
    assert (flat[1, 2], step.page_table.shape, step.sampling.shape, step.hidden) == (7, (2, 3), (2,), True)
    assert rows[64 + OFFSETS["slot"]] == 9
    assert step.arrays() is step
