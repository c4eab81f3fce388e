"""Options of a mapping that no mapping can have."""

import pytest

from undiced.core.errors import CompileError
from undiced.core.mapping import MappingOptions


@pytest.mark.parametrize("name", ["groups", "layers"])
@pytest.mark.parametrize("count", [0, -3])
def test_counts_start_at_one(name, count):
    with pytest.raises(CompileError, match=f"The number of {name} can't be {count}") as caught:
        MappingOptions(**{name: count})
    assert caught.value.remedy == "Use at least 1."
