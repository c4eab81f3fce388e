"""A wafer program's text changes on purpose alone; `PYTHONPATH=tests python tests/golden/wafer_dump.py` writes it."""

from golden.wafer_dump import FILE, text


def test_the_text_of_a_small_program_is_as_it_was_reviewed() -> None:
    assert text() == FILE.read_text()
