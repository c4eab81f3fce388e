"""Every family against transformers, live: prefill, decode with a cache, batches, contexts beyond the window; and GGUF
files that the gguf package writes."""

import numpy as np
import pytest
from support import tiny_gguf, tiny_models

from undiced.checkpoint import open_checkpoint
from undiced.model import KvState, build, load_weights, run_batch, run_graph

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.filterwarnings("ignore:`past_key_values` is deprecated:FutureWarning"),
]
TOLERANCE = 3e-5  # of the largest logit; the largest difference seen is a half of it
LONG_TOLERANCE = 1e-4  # where sums have hundreds of terms, and 24,200 logits are compared


def prompts_of(case, lengths, seed):
    config = case["config"]
    vocab = config.get("text_config", config)["vocab_size"]
    rng = np.random.default_rng(seed)
    return [rng.integers(0, vocab, n).tolist() for n in lengths]


def assert_close(ours, theirs, tolerance=TOLERANCE):
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * np.abs(theirs).max())


def both(case, folder):
    """(case, our graph and weights, transformers' model) on the checkpoint of a case."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    torch.set_num_threads(1)
    tiny_models.make_folder(case, folder)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    checkpoint = open_checkpoint(folder)
    graph = build(checkpoint)
    return case, (graph, load_weights(graph, checkpoint)), theirs


@pytest.fixture(scope="module", params=tiny_models.case_names())
def pair(request, tmp_path_factory):
    """A random checkpoint that the golden files do not have."""
    return both(tiny_models.load_case(request.param) | {"seed": 7}, tmp_path_factory.mktemp("models") / request.param)


def their_logits(model, tokens, cache=None):
    import torch

    with torch.no_grad():
        out = model(torch.tensor([tokens]), past_key_values=cache, use_cache=True)
    return out.logits[0].numpy(), out.past_key_values


def test_prefill_beyond_the_window(pair):
    case, ours, theirs = pair
    for prompt in prompts_of(case, (1, 7, 40), seed=1):
        assert_close(run_graph(*ours, prompt, KvState()), their_logits(theirs, prompt)[0])


@pytest.mark.parametrize("name", tiny_models.case_names())
def test_prefill_of_some_hundred_positions(name, tmp_path):
    """tests/golden/test_long_contexts.py compares the host engine with what is compared here."""
    if (case := tiny_models.stretched(tiny_models.load_case(name), 640)) is None:
        pytest.skip("its positions are learned, or scaled to lengths of their own")
    case, ours, theirs = both(case, tmp_path / name)
    (prompt,) = prompts_of(case, (605,), seed=4)
    assert_close(run_graph(*ours, prompt, KvState()), their_logits(theirs, prompt)[0], LONG_TOLERANCE)


def test_decode_with_cache_beyond_the_window(pair):
    case, ours, theirs = pair
    tokens, state, cache = prompts_of(case, (36,), seed=2)[0], KvState(), None
    for step in (tokens[:9], *([t] for t in tokens[9:])):
        expected, cache = their_logits(theirs, step, cache)
        assert_close(run_graph(*ours, step, state), expected)


def test_batches_of_unequal_lengths(pair):
    case, ours, theirs = pair
    prompts = prompts_of(case, (17, 2, 28, 1), seed=3)
    states = [KvState() for _ in prompts]
    for step in range(4):
        news = prompts if step == 0 else prompts_of(case, (1, 3, 1, 1), seed=10 + step)
        outputs = run_batch(*ours, list(zip(news, states, strict=True)))
        if step:
            prompts = [old + new for old, new in zip(prompts, news, strict=True)]
        for prompt, new, logits in zip(prompts, news, outputs, strict=True):
            assert_close(logits, their_logits(theirs, prompt)[0][-len(new) :])


def test_parameters_are_counted_as_transformers_does(pair):
    _, (graph, _), theirs = pair
    buffers = sum(slot.columns for slot in graph.slots if slot.name.endswith(("rope_factors", "selection_bias")))
    assert graph.parameters - buffers == sum(p.numel() for p in theirs.parameters())


@pytest.mark.parametrize("name", tiny_gguf.CONVERTED)
def test_gguf_files_written_by_the_gguf_package(name, tmp_path):
    gguf = pytest.importorskip("gguf")
    case = tiny_models.load_case(name)
    metadata, tensors = tiny_gguf.gguf_of(name, case, tiny_models.weights_of(case))
    path = tmp_path / f"{name}.gguf"
    writer = gguf.GGUFWriter(path, metadata["general.architecture"])
    for key, value in metadata.items():
        if key != "general.architecture":
            add = {str: writer.add_string, int: writer.add_uint32, float: writer.add_float32, bool: writer.add_bool}
            add[type(value)](key, value)
    for tensor, value in tensors.items():
        writer.add_tensor(tensor, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    checkpoint = open_checkpoint(path)
    graph = build(checkpoint)
    prompt = case["prompts"][0][: tiny_gguf.UNWRITTEN.get(name)]
    with np.load(tiny_models.CASES / f"{name}.npz") as golden:
        assert_close(
            run_graph(graph, load_weights(graph, checkpoint), prompt, KvState()), golden["prompt0"][: len(prompt)]
        )
