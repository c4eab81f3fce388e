"""Programs written for vLLM's `LLM` run with another import line, and see the members that they read."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

import undiced
from undiced import LLM, RequestOutput, SamplingParams
from undiced.core.errors import InvalidRequestError, NothingAllowedError

pytestmark = pytest.mark.model
TEXT = "The capital of France is"
SCRIPT = """
from vllm import LLM, SamplingParams

prompts = ["Hello, my name is", "The capital of France is"]
sampling_params = SamplingParams(n=2, temperature=0.8, top_p=0.95, top_k=40, repetition_penalty=1.1, seed=7,
                                 max_tokens=12, min_tokens=3, stop=["\\n\\n"], logprobs=1)
llm = LLM(model="smollm2-135m")
outputs = llm.generate(prompts, sampling_params=sampling_params, use_tqdm=False)
for output in outputs:
    for completion in output.outputs:
        seen.append((output.prompt, len(output.prompt_token_ids), completion.index, completion.text,
                     completion.token_ids, completion.finish_reason, completion.cumulative_logprob))
        assert all(token in place for token, place in zip(completion.token_ids, completion.logprobs))
conversation = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is 2+2?"}]
seen.append(llm.chat(conversation, SamplingParams(temperature=0, max_tokens=16))[0].outputs[0].text)
both = llm.chat([conversation, conversation], SamplingParams(temperature=0, max_tokens=16), use_tqdm=False)
seen += [output.outputs[0].text for output in both]
llm.close()
"""


def test_a_script_for_vllm_runs_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", undiced)
    seen: list[object] = []
    exec(compile(SCRIPT, "script.py", "exec"), {"seen": seen})
    rows, talks = seen[:4], seen[4:]
    assert [(row[0], row[2]) for row in rows] == [  # type: ignore[index]
        ("Hello, my name is", 0), ("Hello, my name is", 1), (TEXT, 0), (TEXT, 1),
    ]  # fmt: skip
    assert rows[0][4] != rows[1][4], "the seeds of two answers differ"  # type: ignore[index]
    assert talks[0] == talks[1] == talks[2]
    assert "4" in str(talks[0])


@pytest.fixture(scope="module")
def llm() -> Iterator[LLM]:
    with LLM(max_batch=4, max_context=512) as made:
        yield made


def told(outputs: list[RequestOutput]) -> list[list[int]]:
    return [answer.token_ids for output in outputs for answer in output.outputs]


def test_prompts_may_be_texts_ids_or_dictionaries_of_either(llm: LLM) -> None:
    ids, params = llm.tokenizer.encode(TEXT), SamplingParams(max_tokens=6)
    asked = [TEXT, ids, {"prompt": TEXT}, {"prompt_token_ids": ids}]
    outputs = llm.generate(asked, params)
    assert told(outputs) == told(llm.generate({"prompt_token_ids": ids}, params)) * 4
    assert [output.prompt for output in outputs] == [TEXT, None, TEXT, None]
    assert all(output.prompt_token_ids == ids and output.finished for output in outputs)


def test_each_prompt_may_have_parameters_of_its_own(llm: LLM) -> None:
    outputs = llm.generate([TEXT, TEXT], [SamplingParams(max_tokens=2), SamplingParams(max_tokens=5)])
    assert [len(ids) for ids in told(outputs)] == [2, 5]
    with pytest.raises(InvalidRequestError, match="2 prompts came with 1"):
        llm.generate([TEXT, TEXT], [SamplingParams()])


def test_a_stop_token_ends_an_answer_and_is_its_reason_but_not_before_the_least_length(llm: LLM) -> None:
    [whole] = told(llm.generate(TEXT, SamplingParams(max_tokens=8, ignore_eos=True)))
    at = next(at for at in range(2, 8) if whole[at] not in whole[:at])
    answer = llm.generate(TEXT, SamplingParams(max_tokens=8, stop_token_ids=[whole[at]]))[0].outputs[0]
    assert (answer.token_ids, answer.finish_reason, answer.stop_reason) == (whole[: at + 1], "stop", whole[at])
    longer = SamplingParams(max_tokens=12, min_tokens=at + 3, stop_token_ids=[whole[at]])
    assert len(told(llm.generate(TEXT, longer))[0]) >= at + 3


def test_a_bias_and_a_list_of_allowed_tokens_bend_the_choice(llm: LLM) -> None:
    [plain] = told(llm.generate(TEXT, SamplingParams(max_tokens=1)))
    [bent] = told(llm.generate(TEXT, SamplingParams(max_tokens=1, logit_bias={plain[0]: -100})))
    assert bent != plain
    [held] = told(llm.generate(TEXT, SamplingParams(max_tokens=3, allowed_token_ids=[100, 200])))
    assert set(held) <= {100, 200}
    with pytest.raises(NothingAllowedError):
        llm.generate(TEXT, SamplingParams(max_tokens=3, min_tokens=2, allowed_token_ids=[100], stop_token_ids=[100]))


def test_the_prompts_own_probabilities_come_with_it(llm: LLM) -> None:
    [output] = llm.generate(TEXT, SamplingParams(max_tokens=1, prompt_logprobs=2, n=2))
    assert output.prompt_logprobs is not None
    assert len(output.prompt_logprobs) == len(output.prompt_token_ids)
    assert output.prompt_logprobs[0] is None
    for token, place in zip(output.prompt_token_ids[1:], output.prompt_logprobs[1:], strict=True):
        assert place is not None
        assert token in place and len(place) in (2, 3)


def test_what_the_engine_cannot_do_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="bad_words"):
        SamplingParams(bad_words=["x"])  # type: ignore[call-arg]


def test_a_stream_is_one_answer(llm: LLM) -> None:
    with pytest.raises(InvalidRequestError, match="one answer"):
        next(llm.stream(TEXT, SamplingParams(n=2)))


def test_the_page_about_it_runs(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "llm.md").read_text()
    exec(compile("\n".join(re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)), "llm.md", "exec"), {})
    shown = capsys.readouterr().out
    assert "The capital of France is | " in shown
    assert re.search(r"\n\d+ tokens per second\n$", shown)


def test_the_page_names_every_parameter() -> None:
    page = (Path(__file__).parents[2] / "docs" / "llm.md").read_text()
    assert all(f"`{field.name}`" in page for field in structs.fields(SamplingParams))
