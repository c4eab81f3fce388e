"""The published engine's prefill as a replay: how chunks follow each other, what parts are made of, what is refused."""

import pytest

from undiced.compiler.wafer.published.build import build_published, build_replay
from undiced.compiler.wafer.published.engine_prompt import Tile
from undiced.core.errors import CompileError
from undiced.core.mapping import MappingOptions
from undiced.machine import find_machine
from undiced.machine.cost import repriced
from undiced.model import preset
from undiced.sim.replay import part_cycles, time_replay
from undiced.validation.microbenchmark import tile_product

WSE3 = find_machine("wse3")
STAGES = (2, 4, 4, 4, 4, 4, 4, 2)


def replay(tokens=8192, **options):
    asked = {"region": (256, 256), "groups": 16, "stages": STAGES, "phase": "prefill", **options}
    return build_replay("qwen3-1.7b", WSE3, MappingOptions(context=tokens, **asked))


def test_a_core_holds_what_is_published():
    tile = Tile.of(preset("qwen3-1.7b"), 256, 512)
    assert (tile.tokens, tile.hidden, tile.queries, tile.keys, tile.features) == (2, 8, 8, 4, 24)
    assert (tile.band, tile.group) == (32, 2)


def test_products_are_the_calibrated_steps_and_what_passes():
    four = [part for part in replay().layer if part.name in ("q, k, v", "o", "gate, up", "down")]
    sizes = [(128, 8), (64, 8), (384, 8), (192, 24)]
    for part, (products, iterations) in zip(four, sizes, strict=True):
        steps = 256 * tile_product(WSE3, products, iterations, 2)
        assert steps < part_cycles(part, WSE3) < steps + 500 * 256, part.name
        assert part.works[-1].ring.steps == 256 and part.works[-1].ring.aligned == 128


def test_chunks_follow_each_other_and_attend_to_those_before():
    one, two, many = (replay(tokens) for tokens in (512, 1024, 8192))
    assert (one.chunks, two.chunks, many.chunks) == (1, 2, 16)
    cycles = [time_replay(each, WSE3).cycles for each in (one, two, many)]
    layers = [time_replay(each, WSE3).layer for each in (one, two, many)]
    assert cycles[0] == pytest.approx(28 * layers[0], rel=0.01), "one chunk passes all layers alone"
    each = 2 * (layers[1] - layers[0])  # of one more chunk that is attended to
    assert layers[2] == pytest.approx(layers[0] + 7.5 * each)
    assert cycles[2] > 4 * 16 * layers[2], "the slowest region takes all of them in turn"
    assert cycles[2] < 16 * cycles[0]


def test_a_prefix_is_attended_to_and_not_computed():
    whole, rest, alone = replay(), replay(prefix=6144), replay(2048)
    assert (rest.before, rest.chunks) == (12, 4)
    cycles = [time_replay(each, WSE3).cycles for each in (alone, rest, whole)]
    assert cycles == sorted(cycles)


def test_half_a_chunk_takes_as_long_as_a_whole_one():
    assert time_replay(replay(256), WSE3).cycles == time_replay(replay(512), WSE3).cycles


def test_software_of_sums_is_what_attention_waits_for():
    slow = repriced(WSE3, {"step_software": 2 * WSE3.link.step_software_cycles.value})
    scores = next(part for part in replay().attended if part.name == "scores")
    more = part_cycles(scores, slow) - part_cycles(scores, WSE3)
    assert more == pytest.approx(256 * 16 * WSE3.link.step_software_cycles.value, rel=0.1)


def test_without_stages_as_few_regions_as_hold_the_model():
    assert sum(replay(stages=None).stages) == 28
    assert len(replay(4096, stages=None).stages) <= len(replay(32768, stages=None).stages)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"chunk": 100}, "chunk of 100 tokens leaves cores of 256 rows"),
        ({"prefix": 9000}, "8192 positions has none left after a prefix of 9000"),
        ({"chunk": 0}, "chunk can.t be 0"),
        ({"region": (128, 256)}, "128x256 is none"),
        ({"stages": (1, 2)}, "hold 3 layers"),
        ({"batch": 2}, "one after another"),
        ({"capacity": 9000}, "holds the prompt"),
    ],
)
def test_what_a_replay_does_not_have_is_refused(options, told):
    with pytest.raises(CompileError, match=told):
        replay(**options)


def test_programs_hold_at_least_the_positions_that_are_attended_to():
    with pytest.raises(CompileError, match="1000 positions can't attend to 1536"):
        MappingOptions(context=1536, capacity=1000)


def test_the_sum_of_scores_is_as_long_as_the_program_was_compiled_for():
    from undiced.program.wafer.step import Step
    from undiced.sim.clock import time_step

    def layer(context, capacity):
        asked = {"region": (256, 256), "groups": 16, "stages": STAGES, "context": context, "capacity": capacity}
        program = build_published("qwen3-1.7b", WSE3, "waferengine", MappingOptions(**asked))
        assert program.bounds.context == capacity
        return time_step(program, WSE3, Step(1, 1, context)).layer_cycles

    few, more = layer(1536, 4096), layer(1536, 17_408)
    wavelets = 2 * (17_408 - 4096) / 256
    assert more - few == pytest.approx(3 * wavelets / WSE3.link.wavelets_per_cycle.value, rel=0.15)
