"""An item with all its answers, and the verdict of an admin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from monitor.web.api.routing import Admin, Context, Identifier
from monitor.web.context import WebContext
from monitor.web.pages.forms import Fields, Form, first
from monitor.web.pages.rendering import render
from monitor.web.pages.review.answers import QUOTES, shown_answer
from monitor.web.review import queues
from monitor.web.review.answers import InvalidAnswer
from monitor.web.review.evaluations import evaluation_of
from monitor.web.review.model import Answer, Conflict, Dimension, Item
from monitor.web.review.tasks import submitting
from monitor.web.sign_in.identity import Identity
from monitor.web.views import queues as views
from monitor.web.views import tasks
from monitor.web.views.queues import ItemView, RatingView, VerdictView
from monitor.web.views.reviewed import Editor
from monitor.web.views.tasks import ShownAnswer

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
DECIDED: Final = ("finished", "contested", "settled")
NOTES: Final = {
    "new": "This response is a known failure now.",
    "known": "This response was a known failure already.",
}


@dataclass(frozen=True, slots=True)
class Case:
    """An item as the form of an answer needs it: responses in the order of the candidates."""

    task: Literal["single", "pairwise", "ranking", "spans"]
    dimensions: tuple[Dimension, ...]
    responses: tuple[str, ...]


def _case(view: ItemView) -> Case:
    if view.texts is None:
        raise Conflict("the texts of this item were erased")
    task: Any = view.queue.task
    return Case(task, view.queue.rubric.dimensions, view.texts.responses)


@router.get("/adjudicate/{item}")
def show(
    request: Request, context: Context, identity: Admin, item: Identifier, failure: str = ""
) -> Response:
    """Show an item with its texts, all answers and verdicts, and the form of a verdict."""
    with context.store.read() as connection:
        view = views.item_view(connection, item)
    return _page(request, context, view, note=NOTES.get(failure, ""))


@router.post("/adjudicate/{item}/known-failure")
def known_failure(context: Context, identity: Admin, item: Identifier, form: Form) -> Response:
    """Add a response that people found wrong to the known failures of an evaluation set."""
    name = first(form, "set").strip()
    person, at = (identity.person, identity.name), context.clock()
    editor = Editor(context.store, context.sources.sets, *person, at)
    new = editor.add_failure(item, name)
    return RedirectResponse(f"/adjudicate/{item}?failure={'new' if new else 'known'}#sets", 303)


def _page(request: Request, context: WebContext, view: ItemView, **values: Any) -> Response:
    case = None if view.texts is None else _case(view)
    given: list[tuple[RatingView | VerdictView, ShownAnswer | None]] = []
    given += [(each, _shown(each.answer, view)) for each in view.ratings]
    given += [(each, _shown(each.answer, view)) for each in view.verdicts]
    with context.store.read() as connection:
        guideline = queues.guideline(connection, view.queue.name)
        label = evaluation_of(queues.find(connection, view.queue.name), view.item)
    failed = label is not None and not label.passed and case is not None
    known: dict[str, Any] = {"answer": None, "error": "", "note": ""} | values
    return render(
        request,
        "item.html",
        422 if known["error"] else 200,
        view=view,
        case=case,
        given=given,
        guideline=guideline,
        open=case is not None and view.item.state in DECIDED,
        quotes=range(QUOTES),
        failed=failed and context.sources.sets is not None,
        **known,
    )


def _shown(answer: Answer | None, view: ItemView) -> ShownAnswer | None:
    if answer is None or view.texts is None:
        return None
    return tasks.shown(answer, range(len(view.candidates)), _case(view).task)


@router.post("/adjudicate/{item}")
def decide(
    request: Request, context: Context, identity: Admin, item: Identifier, form: Form
) -> Response:
    """Decide about an item, and show those that are left."""
    answer: ShownAnswer | None = None
    try:
        with context.store.read() as connection:
            case = _case(views.item_view(connection, item))
        answer = shown_answer(case, form)
        decided = _decide(context, identity, item, answer, form)
    except InvalidAnswer as error:
        with context.store.read() as connection:
            view = views.item_view(connection, item)
        return _page(request, context, view, answer=answer, error=str(error))
    context.metrics.count_rating(decided.queue, "adjudicated")
    return RedirectResponse("/adjudicate", 303)


def _decide(
    context: WebContext, identity: Identity, item: str, answer: ShownAnswer, form: Fields
) -> Item:
    reason = first(form, "reason").replace("\r\n", "\n").strip()
    with context.store.write() as connection:
        order = range(len(views.item_view(connection, item).candidates))
        return submitting.adjudicate(
            connection, item, identity.person, tasks.stored(answer, order), reason, context.clock()
        )
