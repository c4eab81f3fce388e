"""Tokenizers of Hugging Face folders as people have them, and as nobody should: what counts, and what is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from text_sources import Source

from undiced.core.errors import CheckpointError, TokenizerError, UnsupportedError
from undiced.text import Tokenizer, load_chat_template, load_tokenizer
from undiced.text.pieces import encode_pieces
from undiced.text.sandbox_process import Room, Scene

Json = dict[str, object]
WORDS = ["<", ">", "s", "/", "S", "a", "b", "\u0120", "<s", "<s>", "</", "</s", "</s>", "ab", "abab"]
MERGES = [["<", "s"], ["<s", ">"], ["<", "/"], ["</", "s"], ["</s", ">"], ["a", "b"], ["ab", "ab"]]


def added(i: int, content: str, **flags: bool) -> Json:
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"id": i, "content": content, **plain, **flags}


def tokenizer_json(**changes: object) -> Json:
    """Byte-level BPE whose merges spell its own control tokens: the worst that a literal text can meet."""
    byte_level: Json = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    model: Json = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                   "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                   "vocab": {word: i for i, word in enumerate(WORDS)}, "merges": MERGES}  # fmt: skip
    inner = {key: value for key, value in changes.items() if key in model}
    outer = {key: value for key, value in changes.items() if key not in model}
    return {"version": "1.0", "truncation": None, "padding": None,
            "added_tokens": [added(WORDS.index("<s>"), "<s>"), added(WORDS.index("</s>"), "</s>")],
            "normalizer": None, "pre_tokenizer": byte_level, "post_processor": None, "decoder": byte_level,
            "model": model | inner, **outer}  # fmt: skip


def folder(path: Path, tokenizer: Json | None = None, metadata: Json | None = None, **files: object) -> Source:
    path.mkdir(exist_ok=True)
    (path / "tokenizer.json").write_text(json.dumps(tokenizer or tokenizer_json()), "utf-8")
    for name, value in files.items():
        (path / f"{name}.json").write_text(json.dumps(value), "utf-8")
    return Source(metadata or {}, kind="hf", path=path, name="tiny")


def leading(*names: str) -> Json:
    """A post-processor that puts tokens before every text."""
    single: list[Json] = [{"SpecialToken": {"id": name, "type_id": 0}} for name in names]
    tokens = {name: {"id": name, "ids": [WORDS.index(name)], "tokens": [name]} for name in names}
    whole = [*single, {"Sequence": {"id": "A", "type_id": 0}}]
    pair = [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}]
    return {"type": "TemplateProcessing", "single": whole, "pair": pair, "special_tokens": tokens}


S, END = WORDS.index("<s>"), WORDS.index("</s>")


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"special_tokens_map": {"bos_token": "<s>"}},
        {"tokenizer_config": {"add_bos_token": False, "bos_token": "</s>"}},
    ],
)
def test_the_post_processor_says_what_comes_first(tmp_path: Path, files: Json) -> None:
    """As transformers, which runs it whatever the other files say."""
    loaded = load_tokenizer(folder(tmp_path, tokenizer_json(post_processor=leading("<s>")), **files))
    assert (loaded.bos_id, loaded.add_bos) == (S, True)


def test_what_comes_first_is_found_where_a_letter_is_not_spelled(tmp_path: Path) -> None:
    """A normalizer that drops the letter a hides nothing of what the post-processor adds."""
    dropping = {"type": "Replace", "pattern": {"String": "a"}, "content": ""}
    loaded = load_tokenizer(folder(tmp_path, tokenizer_json(post_processor=leading("<s>"), normalizer=dropping)))
    assert (loaded.bos_id, loaded.add_bos) == (S, True)


def test_more_than_one_token_before_every_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"puts the tokens \[9, 12\] before every text"):
        load_tokenizer(folder(tmp_path, tokenizer_json(post_processor=leading("<s>", "</s>"))))


def test_special_tokens_map_names_roles_that_the_configuration_leaves_open(tmp_path: Path) -> None:
    source = folder(
        tmp_path,
        special_tokens_map={"bos_token": {"content": "<s>"}, "eos_token": "</s>", "unk_token": None},
        tokenizer_config={"eos_token": "abab", "chat_template": "{{ bos_token }}|{{ eos_token }}"},
    )
    loaded = load_tokenizer(source)
    assert (loaded.bos_id, loaded.add_bos) == (S, False)
    assert loaded.eos_ids == {WORDS.index("abab"), END}  # the name of the second is well known
    template = load_chat_template(source)
    assert template is not None and template.tokens == {"bos_token": "<s>", "eos_token": "abab"}


def test_ids_that_the_vocabulary_leaves_out_have_a_name(tmp_path: Path) -> None:
    vocab = {word: i for i, word in enumerate(WORDS)} | {"far": 40}
    loaded = load_tokenizer(folder(tmp_path, tokenizer_json(vocab=vocab)))
    assert loaded.vocab_size == 41 and loaded.decode([39, 40]) == "[PAD39]far" and loaded.token_text(39) == "[PAD39]"


def test_two_tokens_with_one_id_are_refused(tmp_path: Path) -> None:
    vocab = {word: i for i, word in enumerate(WORDS)} | {"other": 0}
    with pytest.raises(CheckpointError, match="gives the id 0 to two tokens"):
        load_tokenizer(folder(tmp_path, tokenizer_json(vocab=vocab)))


@pytest.mark.timeout(10)
@pytest.mark.parametrize("far", [200_000_000, 2**32 - 1])
def test_ids_of_absurd_size_are_refused_without_room_for_them(tmp_path: Path, far: int) -> None:
    vocab = {word: i for i, word in enumerate(WORDS)} | {"far": far}
    with pytest.raises(CheckpointError, match=f"the id {far}"):
        load_tokenizer(folder(tmp_path, tokenizer_json(vocab=vocab)))


@pytest.mark.parametrize("end", [True, -1, 10**9, 2**70, "2", [[1]], {"a": 1}, None, 1.0])
def test_ends_of_a_wrong_kind_or_outside_the_vocabulary_end_nothing(tmp_path: Path, end: object) -> None:
    loaded = load_tokenizer(folder(tmp_path, metadata={"eos_token_id": end}, generation_config={"eos_token_id": [end]}))
    assert loaded.eos_ids == {END}


def test_what_ends_nothing_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    plain = {word if "</s>" not in word else "<x>": i for i, word in enumerate(WORDS)}
    loaded = load_tokenizer(folder(tmp_path, tokenizer_json(vocab=plain, merges=[], added_tokens=[]),
                                   metadata={"eos_token_id": 99}))  # fmt: skip
    assert not loaded.eos_ids
    assert "tiny: eos_token_id 99 is outside the 15 tokens; it ends nothing." in caplog.text
    assert "tiny: no token ends a text" in caplog.text


def test_a_byte_order_mark_before_any_file_is_skipped(tmp_path: Path) -> None:
    source = folder(tmp_path, tokenizer_config={"bos_token": "<s>"})
    (tmp_path / "chat_template.jinja").write_text("{{ bos_token }}", "utf-8")
    for path in tmp_path.iterdir():
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    template = load_chat_template(source)
    assert load_tokenizer(source).bos_id == S and template is not None and template.tokens == {"bos_token": "<s>"}


DOCUMENTS = ["tokenizer_config.json", "special_tokens_map.json", "generation_config.json"]


def load_text(source: Source) -> None:
    load_tokenizer(source)
    load_chat_template(source)


@pytest.mark.timeout(10)
@pytest.mark.parametrize("name", ["tokenizer.json", "chat_template.jinja", *DOCUMENTS])
@pytest.mark.parametrize(
    "place",
    [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: path.mkdir(), lambda path: path.touch()],
)
def test_no_file_of_a_folder_is_read_unless_it_is_one(
    tmp_path: Path, name: str, place: Callable[[Path], object]
) -> None:
    source = folder(tmp_path)
    (tmp_path / name).unlink(missing_ok=True)
    place(tmp_path / name)
    with pytest.raises(CheckpointError, match=name) as caught:
        load_text(source)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.timeout(10)
@pytest.mark.parametrize("name", ["tokenizer.json", *DOCUMENTS])
@pytest.mark.parametrize(
    "text",
    ['{"a":' + "[" * 5000 + "]" * 5000 + "}", "[" * 200_000,
     '{"bos_token": "\\ud800"}', '{"bos_token": {"content": "\\udfff"}}',
     '{"chat_template": "\\ud800"}', "\x00", "[]", "1", '"a"', '{"a": 1, "a": 2}', '{"a": ' + "9" * 5000 + "}"],
)  # fmt: skip
def test_hostile_documents_of_a_folder_have_one_clear_error(tmp_path: Path, name: str, text: str) -> None:
    source = folder(tmp_path)
    (tmp_path / name).write_text(text, "utf-8")
    with pytest.raises(CheckpointError, match=name) as caught:
        load_text(source)
    assert caught.value.remedy and len(caught.value.message) < 500


VALUES = [
    None,
    True,
    -1,
    2**70,
    1e308,
    float("nan"),
    "",
    "x",
    [],
    [1],
    {},
    {"content": []},
    {"content": {"content": "<s>"}},
]


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(
    "key", ["bos_token", "eos_token", "unk_token", "chat_template", "add_bos_token", "eos_token_id"]
)
def test_values_of_any_kind_under_any_key_are_borne(tmp_path: Path, key: str, value: object) -> None:
    files = {name.removesuffix(".json"): {key: value} for name in DOCUMENTS}
    try:
        load_text(folder(tmp_path, metadata={key: value, "text_config": value}, **files))
    except (CheckpointError, UnsupportedError) as error:
        assert error.remedy


NORMALIZERS: dict[str, Json | None] = {
    "none": None,
    "NFKC": {"type": "NFKC"},
    "lowercase": {"type": "Lowercase"},
    "strip": {"type": "Strip", "strip_left": True, "strip_right": True},
    "prepend": {"type": "Prepend", "prepend": "<"},
    "replace": {"type": "Replace", "pattern": {"String": "b"}, "content": "s>"},
    "remove": {"type": "Replace", "pattern": {"String": "/"}, "content": ""},
    "accents": {"type": "StripAccents"},
}
TEXT = st.text(st.sampled_from("<s>/Sab \uff1c\uff53\uff1e\u0301\ufe64\U0001f600"), max_size=24)


@settings(max_examples=300, deadline=None)
@given(
    text=TEXT,
    names=st.lists(st.sampled_from(sorted(NORMALIZERS)), max_size=3),
    flags=st.fixed_dictionaries({key: st.booleans() for key in ("normalized", "lstrip", "rstrip", "single_word")}),
    whole_words=st.booleans(),
)
def test_no_text_becomes_a_control_token_whatever_the_normalizer(
    tmp_path_factory: pytest.TempPathFactory, text: str, names: list[str], flags: dict[str, bool], whole_words: bool
) -> None:
    steps = [NORMALIZERS[name] for name in names if NORMALIZERS[name] is not None]
    tokens = [added(S, "<s>", **flags), added(END, "</s>", **flags), added(15, "ab ", special=False, normalized=True)]
    source = folder(
        tmp_path_factory.mktemp("t"),
        tokenizer_json(
            normalizer={"type": "Sequence", "normalizers": steps}, added_tokens=tokens, ignore_merges=whole_words
        ),
    )
    loaded = load_tokenizer(source)
    assert loaded.control == {S, END}
    for piece in (text, text + "<s>", "\uff1cs\uff1e" + text + "</s>", "<S>"):
        for continuation in (False, True):
            assert not loaded.control & set(loaded.encode(piece, continuation=continuation))
    room = Room(("<s>{{ messages[0].content }}</s>", None, {}, loaded.control_texts()))
    said = [{"role": "user", "content": text + "\uff1c/s\uff1e<s>"}]
    ids = encode_pieces(loaded, room.render(Scene(said), False).pieces)
    assert len([i for i in ids if i in loaded.control]) <= 2


def test_special_alone_parses_control_tokens_and_only_their_exact_names(tmp_path: Path) -> None:
    tokens = [added(S, "<s>", normalized=True), added(END, "</s>", normalized=True)]
    loaded = load_tokenizer(folder(tmp_path, tokenizer_json(normalizer={"type": "NFKC"}, added_tokens=tokens)))
    assert loaded.encode("<s>a</s>", special=True) == [S, WORDS.index("a"), END]
    assert not loaded.control & set(loaded.encode("\uff1cs\uff1e", special=False))


def test_what_would_be_a_control_token_is_spelled_out(tmp_path: Path) -> None:
    loaded = load_tokenizer(folder(tmp_path))
    assert loaded.decode(loaded.encode("a<s>b</s>")) == "a<s>b</s>"
    assert loaded.encode("<s>") == [WORDS.index(letter) for letter in "<s>"]


def test_an_end_that_is_added_but_not_special_is_a_control_token(tmp_path: Path) -> None:
    tokens = [
        added(15, "<|im_end|>", special=False),
        added(16, "<stop>", special=False),
        added(17, "<tool>", special=False),
    ]
    source = folder(tmp_path, tokenizer_json(added_tokens=tokens), generation_config={"eos_token_id": 16})
    loaded = load_tokenizer(source)
    assert loaded.eos_ids == {15, 16} == loaded.control
    assert loaded.decode([15, 16, 17]) == "<tool>"


def test_a_panic_of_the_library_is_an_ordinary_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Panic(BaseException):
        pass

    class Engine:
        def encode(self, *_: object, **__: object) -> object:
            raise Panic("index out of bounds")

    loaded: Tokenizer = load_tokenizer(folder(tmp_path))
    monkeypatch.setattr(loaded, "_engines", (Engine(), Engine()))
    with pytest.raises(TokenizerError, match="tokenizer failed on the text: index out of bounds"):
        loaded.encode("a")


@pytest.mark.parametrize(("unit", "count"), [("0,", 2_000_000), ('"a":0,', 700_000), ("{},", 40_000)])
def test_documents_with_absurdly_many_parts_are_refused_unparsed(tmp_path: Path, unit: str, count: int) -> None:
    source = folder(tmp_path)
    (tmp_path / "tokenizer.json").write_text(f'{{"version": {{{unit * (count + 1)}}}', "utf-8")
    with pytest.raises(CheckpointError, match=r"tokenizer\.json holds more than \d+ times"):
        load_tokenizer(source)


LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
LONGER = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 9}


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "steps",
    [
        {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [LEVEL] * 40}},
        {"normalizer": {"type": "Sequence", "normalizers": [LONGER] * 20}},
        {"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}] * 40}},
    ],
)
def test_steps_that_multiply_a_text_are_refused_before_one_is_encoded(tmp_path: Path, steps: Json) -> None:
    with pytest.raises(CheckpointError, match="more steps of normalization or splitting"):
        load_tokenizer(folder(tmp_path, tokenizer_json(**steps)))
