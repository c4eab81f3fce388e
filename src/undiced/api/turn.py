"""Turn: what the assistant says next in a conversation, from a chat request to choices that are ready to run. Endpoints
of all wire formats for conversations share it: each translates its body to a `ChatBody` and writes answers its own way.

Knows no other format of requests, and none of answers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from undiced.api.call import Prompt
from undiced.api.chat import predicted, said_last, template_messages
from undiced.api.form import form_of
from undiced.api.guides import calls_form, guide_of
from undiced.api.messages import check_messages
from undiced.api.reasoning import budget, shown
from undiced.api.talk import prompt_options
from undiced.api.tools import toolbox
from undiced.api.validate import chat_job
from undiced.text.formats import TapeOptions

if TYPE_CHECKING:
    from undiced.api.call import Call
    from undiced.api.choice import Choice
    from undiced.api.places import Places
    from undiced.api.reasoning import Shown
    from undiced.api.schemas import ChatBody
    from undiced.api.validate import Job


@dataclass(frozen=True, slots=True)
class Turn:
    """See the file's head.

    Attributes:
        name: of the answer.
        shown: how thoughts are told.
        apart: the answer has channels, so that it may have no content.
    """

    name: str
    job: Job
    choices: list[Choice]
    shown: Shown
    apart: bool

    def named(self, places: Places) -> Job:
        """The job, whose form names what it ignores as it is called at these places."""
        form = self.job.form
        if form is None or not form.ignored:
            return self.job
        return replace(self.job, form=replace(form, ignored=tuple(map(places.own, form.ignored))))


async def turn_of(call: Call[ChatBody], name: str, *, cut: bool = False, mixed: bool = False) -> Turn:
    """The turn that a chat request asks for.

    Args:
        cut: an answer that could be too long for the context ends with it, instead of being refused.
        mixed: as of `toolbox`.

    Raises:
        UndicedError: what is wrong with the request; `param` names a member of the chat request.
    """
    wire, deployment, settings = call.wire, call.deployment, call.deployment.settings
    dialect = deployment.dialect
    job = chat_job(wire, deployment.tokenizer, settings, deployment.card.sampling)
    if cut:
        job = replace(job, max_tokens=None, usual_tokens=job.max_tokens)
    box, form = toolbox(wire, dialect, settings, mixed=mixed), await form_of(wire)
    told, most = shown(wire, dialect, json=form is not None), budget(wire, dialect)
    options = prompt_options(wire, box)
    check_messages(wire.messages)
    job = replace(job, form=await calls_form(box, dialect, form))
    with call.service.preparing():
        messages = template_messages(wire.messages, settings)
        ids, end = await deployment.prompts.conversation(messages, options)
        expected = await deployment.prompts.expected(predicted(wire.prediction))
    said = said_last(messages) if options.continue_final_message else ""
    reading = TapeOptions(
        opened=dialect.opens(end, said),
        raw=told.raw,
        trim=not job.stops,
        single=not box.parallel,
    )
    guide = guide_of(job.form, dialect.thinks_in(deployment.marks, end, said), most, calls=bool(box.tools))
    channels = dialect.channels({tool.name: tool for tool in box.tools}, reading)
    prompt = Prompt(ids, "messages", "", options.continue_final_message, guide, channels, expected)
    return Turn(name, job, call.choices(job, name, prompt), told, channels is not None)


async def prompt_tokens(call: Call[ChatBody], *, mixed: bool = False) -> int:
    """How long the prompt of a chat request is; nothing runs. Arguments and errors as of `turn_of`."""
    wire, deployment, settings = call.wire, call.deployment, call.deployment.settings
    options = prompt_options(wire, toolbox(wire, deployment.dialect, settings, mixed=mixed))
    check_messages(wire.messages)
    with call.service.preparing():
        ids, _ = await deployment.prompts.conversation(template_messages(wire.messages, settings), options)
    return len(ids)
