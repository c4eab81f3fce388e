"""Served: a model on its way to its engine: compiled, with its names, its share of the machine, and what its engine
process is told. Starts nothing.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undiced.api.deployment import Deployment, ModelCard, ModelFacts
    from undiced.api.settings import Settings
    from undiced.cli.serving.model_options import ModelOptions, Wanted
    from undiced.compiled import Compiled, Progress
    from undiced.engine.backend import Limits
    from undiced.engine.load import BackendOptions
    from undiced.remote.client import EngineClient
    from undiced.remote.spec import EngineSpec
    from undiced.serve import Policy
    from undiced.text import ChatEncoder, Tokenizer

_log = logging.getLogger("undiced.serve")


@dataclass(frozen=True, slots=True)
class Served:
    """See the file's head.

    Attributes:
        ref: what opens it. names: the model's for clients, the one that is shown first.
        draft: the model that guesses for it, if there is one.
    """

    ref: str
    names: tuple[str, ...]
    options: ModelOptions
    compiled: Compiled
    spec: EngineSpec
    draft: Compiled | None = None


def opened(models: Sequence[Wanted], *, quiet: bool) -> list[Served]:
    """The models, fetched if need be and compiled, one after another, with main memory divided between them.

    Raises:
        UndicedError: one can't be used, two have a name in common, or they don't fit into memory.
    """
    from undiced.api.apart import check_apart
    from undiced.checkpoint import at_revision
    from undiced.cli.terminal import loading
    from undiced.engine.pool import pools
    from undiced.text.formats import check_names

    refs = [at_revision(model.ref, model.options.revision) for model in models]
    for model in models:
        check_names(model.options.tool_format, model.options.thinking_format)
        _check_guesses(model.options)
    compiled, drafts = [], []
    for at, (ref, model) in enumerate(zip(refs, models, strict=True), 1):
        place = f"{at}/{len(models)}" if len(models) > 1 else ""
        with loading(ref, place=place, quiet=quiet) as bar:
            compiled.append(_compiled(ref, model.options, team(len(models)), bar))
        drafts.append(_draft(model.options, compiled[-1], quiet=quiet))
    names = [model.names or served_names(ref, each) for ref, model, each in zip(refs, models, compiled, strict=True)]
    check_apart(names)
    pages = pools([each.program for each in compiled], [None if each is None else each.program for each in drafts])
    found = []
    for ref, own, model, each, draft, room in zip(refs, names, models, compiled, drafts, pages, strict=True):
        spec = engine_spec(each, policy_of(model.options), own[0], pages=room, draft=draft)
        found.append(Served(ref, own, model.options, each, spec, draft))
    return found


def _check_guesses(options: ModelOptions) -> None:
    from undiced.core.errors import InvalidRequestError

    if options.draft is not None and not options.speculate:
        raise InvalidRequestError("--draft guesses, and --no-speculate forbids it.", remedy="Leave one of them out.")


def _draft(options: ModelOptions, target: Compiled, *, quiet: bool) -> Compiled | None:
    from undiced.cli.terminal import loading
    from undiced.compiled import compile_draft

    if options.draft is None:
        return None
    with loading(options.draft, quiet=quiet) as bar:
        return compile_draft(options.draft, target, progress=bar)


def _compiled(ref: str, options: ModelOptions, threads: int, progress: Progress) -> Compiled:
    from undiced.compiled import compile_for_host

    return compile_for_host(
        ref,
        threads=options.threads or threads,
        max_batch=options.max_batch,
        max_context=options.max_context,
        kv_type=options.kv_type,
        progress=progress,
    )


def team(models: int) -> int:
    """Threads of each engine where so many share this machine and nobody says how many.

    An engine that is busy alone shall have as many cores as help it. A team that keeps losing its cores to others
    computes with half of its threads: so each gets twice its part of the cores, and engines that are all busy fit.
    """
    from undiced.machine.host import host

    cores = host().threads
    return max(1, min(cores, 2 * cores // models))


def served_names(ref: str, compiled: Compiled) -> tuple[str, ...]:
    """What clients call the model unless they are told otherwise, the name that is shown first: a packaged one by its
    name, another by the name of its file; and what the server was started with.
    """
    from undiced.checkpoint import CATALOG
    from undiced.core.quote import stem

    packaged, path = CATALOG.get(ref.casefold()), compiled.checkpoint.path
    shown = packaged.name if packaged else stem(path) if path.is_file() else compiled.checkpoint.name
    return tuple(dict.fromkeys((shown, ref, compiled.checkpoint.name)))


def policy_of(options: ModelOptions) -> Policy:
    """How the engine of a model schedules."""
    from undiced.serve import Policy

    return Policy(max_waiting=options.max_queue, speculate=options.speculate)


def engine_spec(
    compiled: Compiled, policy: Policy, name: str, *, pages: int | None = None, draft: Compiled | None = None
) -> EngineSpec:
    """What the engine process is told: these programs and these very files, also when it is started again."""
    from undiced.remote.spec import EngineSpec

    guessing = None if draft is None else _backend_options(draft, pages)
    return EngineSpec(_backend_options(compiled, pages), policy, model=name, draft=guessing)


def _backend_options(compiled: Compiled, pages: int | None) -> BackendOptions:
    from undiced.checkpoint.identity import identity
    from undiced.engine.load import BackendOptions

    path = compiled.checkpoint.path.absolute()
    return BackendOptions(
        program=compiled.program.encoded(),
        program_digest=compiled.program.digest,
        checkpoint=str(path),
        checkpoint_digest=compiled.checkpoint.digest,
        identity=identity(path),
        threads=compiled.program.cores,
        pages=pages,
    )


def text_parts(compiled: Compiled) -> tuple[Tokenizer, ChatEncoder | None]:
    """Tokenizer and chat encoder; loaded while the engine packs weights."""
    from undiced.text import ChatEncoder, load_chat_template, load_tokenizer

    tokenizer = load_tokenizer(compiled.checkpoint)
    template = load_chat_template(compiled.checkpoint)
    chat = None if template is None else ChatEncoder(template, tokenizer)
    if chat is not None and chat.problem:
        _log.warning("%s cannot chat; text completions are served. %s", compiled.checkpoint.name, chat.problem)
    return tokenizer, chat


def deployment(
    served: Served, settings: Settings, engine: EngineClient, tokenizer: Tokenizer, chat: ChatEncoder | None
) -> Deployment:
    """The model as the API serves it; one request may not be more than its whole queue.

    Raises:
        InvalidRequestError: a format of calls in which the model can't call.
    """
    from undiced.api.deployment import Deployment
    from undiced.text.formats import Dialect

    options, family = served.options, served.compiled.config.family
    dialect = Dialect() if chat is None else chat.dialect(family, options.tool_format, options.thinking_format)
    card = replace(
        model_card(served, engine.limits),
        facts=_facts(served, engine.limits, chat),
        efforts=() if chat is None else chat.efforts,
        calls=dialect.format is not None,
    )
    return Deployment(card, engine, tokenizer, chat, within_queue(settings, options.max_queue), dialect)


def within_queue(settings: Settings, max_queue: int) -> Settings:
    """The bounds with no request larger than a queue."""
    choices, sequences = min(settings.max_choices, max_queue), min(settings.max_sequences, max_queue)
    return replace(settings, max_choices=choices, max_sequences=sequences)


def model_card(served: Served, limits: Limits) -> ModelCard:
    """The model as clients see it."""
    from undiced.api.deployment import ModelCard
    from undiced.checkpoint import own_sampling
    from undiced.checkpoint.license import license_of

    compiled = served.compiled
    return ModelCard(
        id=served.names[0],
        created=int(compiled.checkpoint.path.stat().st_mtime),
        context=min(limits.context, limits.pages * limits.page_tokens),
        digest=f"{compiled.checkpoint.digest}:{compiled.program.digest}",
        aliases=served.names[1:],
        license=license_of(compiled.checkpoint),
        sampling=own_sampling(compiled.checkpoint),
    )


def _facts(served: Served, limits: Limits, chat: ChatEncoder | None) -> ModelFacts:
    from undiced.api.deployment import ModelFacts
    from undiced.checkpoint import bytes_by_format
    from undiced.engine.pool import pool_bytes

    compiled = served.compiled
    return ModelFacts(
        quantization=next(iter(bytes_by_format(compiled.checkpoint))),
        parameters=compiled.parameters,
        weight_bytes=compiled.weight_bytes,
        vocabulary=limits.vocab,
        chat_template=None if chat is None else chat.template.source,
        max_batch=limits.max_batch,
        max_queue=served.options.max_queue,
        threads=served.spec.options.threads,
        kv_tokens=limits.pages * limits.page_tokens,
        kv_bytes=sum(pool_bytes(each.program, limits.pages) for each in (compiled, served.draft) if each is not None),
        kv_type=compiled.program.kv_type,
        draft=None if served.draft is None else served.draft.checkpoint.name,
        draft_bytes=0 if served.draft is None else served.draft.weight_bytes,
    )
