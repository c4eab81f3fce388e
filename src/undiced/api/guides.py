"""Guides: from what a chat request asks for to what the engine holds an answer to: calls by a grammar, thoughts by a
budget. Compiles nothing.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

from undiced.api.form import tried
from undiced.grammar import schema_form
from undiced.serve.guide import NO_BUDGET, Guide
from undiced.text.formats import Tool

if TYPE_CHECKING:
    from undiced.api.tools import Toolbox
    from undiced.grammar import Form
    from undiced.text.formats import Dialect, Thinks

_CONTENT = "content"  # the name of a content's grammar beside that of the calls


async def calls_form(box: Toolbox, dialect: Dialect, content: Form | None) -> Form | None:
    """What the whole answer has to look like, thoughts apart: calls, content, or either; None where it is free.

    Args:
        content: what the content has to look like.

    Raises:
        InvalidRequestError: the schema of a function can't be held; `param` is the path.
    """
    return await tried(partial(held_form, box, dialect, content)) if box.allowed else content


def held_form(box: Toolbox, dialect: Dialect, content: Form | None) -> Form | None:
    """As `calls_form`; takes milliseconds where schemas are large."""
    from undiced.grammar import Form

    some = len(box.allowed) < len(box.tools)
    held = box.forced or some or content is not None or any(tool.strict for tool in box.allowed)
    if not box.allowed or not held:
        return content
    tools, ignored = [], list(content.ignored if content is not None else ())
    for tool in box.allowed:
        place = f"tools[{box.tools.index(tool)}].function.parameters"
        form = schema_form(dict(tool.schema), strict=tool.strict, place=place)
        ignored += form.ignored
        tools.append(Tool(tool.name, "", _only(form)["json_schema"], tool.strict))  # type: ignore[arg-type]
    alone = content is None
    rules = dialect.grammar(tools, forced=box.forced, many=box.parallel, content=None if alone else f"@{_CONTENT}")
    grammars: list[dict[str, object]] = [{"lark_grammar": rules}]
    if content is not None and not box.forced:
        grammars.append({**_only(content), "name": _CONTENT})
    return Form(json.dumps({"grammars": grammars}, ensure_ascii=False), tuple(ignored))


def _only(form: Form) -> dict[str, object]:
    """The one grammar of a form, as the library writes it."""
    [found] = json.loads(form.grammar)["grammars"]
    return dict(found)


def guide_of(form: Form | None, thinks: Thinks | None, most: int = NO_BUDGET, *, calls: bool = False) -> Guide | None:
    """What the engine is told.

    Args:
        thinks: of the model's thoughts, or None. most: tokens of one.
        calls: the form is that of calls, or of calls and content; else of content alone.
    """
    grammar = "" if form is None else form.grammar
    if thinks is None:
        return Guide(grammar) if grammar else None
    then = () if not grammar else thinks.then if calls else thinks.then + thinks.also
    return Guide(grammar, thinks.opened, thinks.start, thinks.end, then, most)
