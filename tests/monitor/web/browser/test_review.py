"""Review in a browser: by keyboard alone, without the script, by several people at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from monitor.web.review import items, ratings
from monitor.web.review.answers import decode
from monitor.web.sign_in.roles import PersonRole
from monitor.web.store.tables import ASSIGNMENTS, VERDICTS
from tests.monitor.web.browser.conftest import Served
from tests.monitor.web.pages.scenes import furnish, item
from tests.monitor.web.reviews import add_items, add_queue

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from monitor.web.review.model import Answer

TEXT = "Water \N{PILE OF POO} boils at 90 degrees. It freezes at 0 degrees."


def queue_of(served: Served, task: str, number: int = 2, text: str = TEXT) -> None:
    """Create a queue with items."""
    queue = add_queue(served.site.store, task, f"{task}-queue", overlap=1, lease_seconds=3_600.0)
    add_items(served.site.store, queue, [item(i, task, text) for i in range(number)], at=0.0)


def press(page: Page, *keys: str) -> None:
    """Press keys, one after another."""
    for key in keys:
        page.keyboard.press(key)


def start(page: Page, queue: str) -> None:
    """Receive the first task, by keyboard."""
    page.goto("/review")
    page.get_by_role("button", name=f"Next task of {queue}").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/review/task/*")


def submit(page: Page, before: str) -> None:
    """Submit by keyboard and wait for the next page."""
    page.keyboard.press("Control+Enter")
    page.wait_for_url(lambda url: url != before)


def answers(served: Served, queue: str) -> list[Answer]:
    """Return the stored answers, newest first."""
    with served.site.store.read() as connection:
        return [each.answer for each in ratings.ratings(connection, queue)]


def test_a_response_is_rated_by_keyboard(served: Served) -> None:
    """Digits choose and go on, k goes back, s skips with a reason, u undoes."""
    queue_of(served, "single")
    page = served.visit(PersonRole.ANNOTATOR, "ann")
    start(page, "single-queue")
    first = page.url
    press(page, "4", "5", "k", "3")
    submit(page, first)
    (given,) = answers(served, "single-queue")
    assert given.scores in ({"accuracy": 3, "fluency": 5}, {"accuracy": 4, "fluency": 3})
    second = page.url
    press(page, "u")
    page.wait_for_url(first)
    assert page.locator("input:checked[name^=score]").count() == 2
    press(page, "1", "1")
    submit(page, first)
    assert answers(served, "single-queue")[0].scores == {"accuracy": 1, "fluency": 1}
    page.wait_for_url(second)
    press(page, "s", "ArrowDown", "Enter")
    page.wait_for_url("**/review?note=none*")
    with served.site.store.read() as connection:
        query = select(ASSIGNMENTS.c.skip_reason).where(ASSIGNMENTS.c.state == "skipped")
        assert connection.execute(query).scalars().all() == ["language"]


def test_two_responses_are_compared_by_keyboard(served: Served) -> None:
    """1, 2 and 3 prefer the first, the second or none; an incomplete answer is refused."""
    queue_of(served, "pairwise", 1)
    page = served.visit(PersonRole.ANNOTATOR, "ann")
    start(page, "pairwise-queue")
    press(page, "j", "1", "Control+Enter")
    page.get_by_role("alert").wait_for()
    assert "Choose the better response" in page.get_by_role("alert").inner_text()
    assert page.locator("input:checked[name='preference.accuracy']").count() == 1
    shown = page.locator(".response .document").all_inner_texts()
    page.keyboard.press("j")
    press(page, "k", "k", "k", "2")
    submit(page, page.url)
    (given,) = answers(served, "pairwise-queue")
    assert f"({given.preferences['overall']})" in shown[1]
    assert f"({given.preferences['accuracy']})" in shown[0]


def test_responses_are_ranked_by_keyboard(served: Served) -> None:
    """Each response gets a place; equal places are ties."""
    queue_of(served, "ranking", 1)
    page = served.visit(PersonRole.ANNOTATOR, "ann")
    start(page, "ranking-queue")
    shown = page.locator(".response .document").all_inner_texts()
    press(page, "2", "1", "2")
    submit(page, page.url)
    (given,) = answers(served, "ranking-queue")
    best, others = given.ranking
    assert len(best) == 1
    assert len(others) == 2
    assert f"({best[0]})" in shown[1]


def test_errors_are_marked_by_keyboard(served: Served) -> None:
    """Arrows choose words, Shift extends, a digit marks; positions count code points."""
    queue_of(served, "spans", 1, text=TEXT)
    page = served.visit(PersonRole.ANNOTATOR, "ann")
    start(page, "spans-queue")
    for _ in range(12):
        if "90" in page.evaluate("getSelection().toString()"):
            break
        page.keyboard.press("ArrowRight")
    press(page, "Shift+ArrowRight", "1", "m")
    assert "minor accuracy" in page.locator("[data-spans] li").inner_text()
    submit(page, page.url)
    (given,) = answers(served, "spans-queue")
    (span,) = given.spans
    response = f"{TEXT} (0)"
    assert response[span.start : span.end].strip() == "90 degrees"
    assert (span.kind, span.severity) == ("accuracy", "minor")


def test_words_are_chosen_without_their_punctuation(served: Served) -> None:
    """A word is what is between spaces, or a word of a script without spaces; Shift extends."""
    queue_of(served, "spans", 1, text='By (EU) 2021/782, "no" at \U0001f4a9 9 €.\n今日は晴れ')
    page = served.visit(PersonRole.ANNOTATOR, "ann")
    start(page, "spans-queue")

    def chosen(*keys: str) -> str:
        press(page, *keys)
        return str(page.evaluate("getSelection().toString()"))

    found = [chosen(), *(chosen("ArrowRight") for _ in range(7))]
    assert found == ["By", "EU", "2021/782", "no", "at", "\U0001f4a9", "9", "€."]
    assert chosen("ArrowRight") == "今日"
    assert chosen("ArrowLeft", "ArrowLeft", "ArrowLeft", "ArrowLeft") == "at"
    assert chosen("Shift+ArrowRight", "Shift+ArrowRight") == "at \U0001f4a9 9"
    assert chosen("Shift+ArrowLeft") == "at \U0001f4a9"
    assert chosen("Shift+ArrowLeft", "Shift+ArrowLeft") == 'no" at'
    assert chosen("ArrowUp") == "By"
    assert chosen("ArrowDown", "1") == ""
    assert "major accuracy: 今日" in page.locator("[data-spans] li").inner_text()


@pytest.mark.parametrize("task", ["single", "pairwise", "ranking", "spans"])
def test_a_task_is_answered_without_the_script(served: Served, task: str) -> None:
    """Plain forms are enough for every type of task."""
    queue_of(served, task, 1)
    page = served.visit(PersonRole.ANNOTATOR, "ann", java_script_enabled=False)
    page.goto("/review")
    page.get_by_role("button", name="Next task").click()
    page.wait_for_url("**/review/task/*")
    if task == "spans":
        page.locator("input[name='quote.0']").fill("90 degrees")
    else:
        for row in page.locator("fieldset.row").all():
            row.locator("input").nth(1).check()
    page.get_by_role("button", name="Submit and next").click()
    page.get_by_text("There is no task for you").wait_for()
    (given,) = answers(served, f"{task}-queue")
    if task == "spans":
        assert f"{TEXT} (0)"[given.spans[0].start : given.spans[0].end] == "90 degrees"


def test_two_annotators_get_different_tasks(served: Served) -> None:
    """With one annotator an item, two people never hold the same one."""
    queue_of(served, "single", 2)
    pages = [served.visit(PersonRole.ANNOTATOR, name) for name in ("ann", "bob")]
    for page in pages:
        start(page, "single-queue")
    prompts = [page.locator(".document").nth(1).inner_text() for page in pages]
    assert prompts[0] != prompts[1]
    third = served.visit(PersonRole.ANNOTATOR, "eve")
    third.goto("/review")
    third.get_by_role("button", name="Next task").click()
    third.get_by_text("There is no task for you").wait_for()
    assert pages[1].goto(pages[0].url).status == 404  # type: ignore[union-attr] # it answers


def test_an_admin_adjudicates(served: Served) -> None:
    """The admin sees all answers and decides; the verdict becomes the label."""
    scene = furnish(served.site.store, at=served.site.clock())
    page = served.visit(PersonRole.ADMIN, "root")
    page.goto("/adjudicate")
    page.locator(f"a[href='/adjudicate/{scene.contested}']").click()
    page.wait_for_url(f"**/adjudicate/{scene.contested}")
    assert page.get_by_text("verdict of the judge").count() == 0
    assert page.locator(".rows li").count() >= 3
    press(page, "2", "3")
    page.locator("textarea[name=reason]").fill("the unit is wrong")
    submit(page, page.url)
    with served.site.store.read() as connection:
        decided = items.find(connection, scene.contested)
        row = connection.execute(select(VERDICTS)).one()
    assert decided.state == "settled"
    assert decode(row.content).scores == {"accuracy": 2, "fluency": 3}
    assert row.reason == "the unit is wrong"
