"""Pages of teams in a browser: live cards, hostile text, accessibility."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from monitor.web.review.model import Texts
from monitor.web.sign_in.roles import PersonRole
from tests.long_form import LONG
from tests.monitor.web.browser.conftest import Served
from tests.monitor.web.pages.published import HOSTILE, result
from tests.monitor.web.pages.scenes import furnish, item
from tests.monitor.web.reviews import add_items, add_queue

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Dialog, Page, Request

MEGABYTE = 1_000_000


def test_an_experiment_card_changes_while_it_is_watched(served: Served) -> None:
    """A new look is on the page within seconds, without a reload of the page."""
    page = served.visit(PersonRole.VIEWER, "eve")
    page.goto("/experiments/prompt")
    page.evaluate("window.watched = true")
    before = page.locator("#live-card time").first.inner_text()
    later = replace(result(), experiment="prompt", time=result().time + 86_400.0)
    served.roles.results["prompt"] = later
    page.wait_for_function(
        "before => document.querySelector('#live-card time').innerText !== before", arg=before
    )
    assert page.evaluate("window.watched") is True


def test_a_card_changes_without_events(served: Served) -> None:
    """Where server-sent events are missing, the page loads its card again by time."""
    page = served.visit(PersonRole.VIEWER, "eve")
    page.add_init_script("delete window.EventSource")
    page.route("**/experiments/prompt", _poll_quickly)
    page.goto("/experiments/prompt")
    before = page.locator("#live-card time").first.inner_text()
    later = replace(result(), experiment="prompt", time=result().time + 86_400.0)
    served.roles.results["prompt"] = later
    page.wait_for_function(
        "before => document.querySelector('#live-card time').innerText !== before", arg=before
    )


def _poll_quickly(route: Any) -> None:
    answer = route.fetch()
    body = answer.text().replace('data-poll="30"', 'data-poll="1"')
    route.fulfill(response=answer, body=body)


def watch(page: Page) -> list[str]:
    """Return a list to which dialogs, errors and requests to other places are added."""
    found: list[str] = []

    def dialog(shown: Dialog) -> None:
        found.append(shown.message)
        shown.dismiss()

    def console(message: ConsoleMessage) -> None:
        if message.type == "error":
            found.append(message.text)

    def request(sent: Request) -> None:
        if "127.0.0.1" not in sent.url:
            found.append(sent.url)

    page.on("dialog", dialog)
    page.on("console", console)
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("request", request)
    return found


def test_a_hostile_answer_of_a_megabyte_stays_text(served: Served) -> None:
    """Scripts do not run, direction marks are shown, and a task with it can be answered."""
    text = (HOSTILE + "\n") * (MEGABYTE // (len(HOSTILE) + 1))
    queue = add_queue(served.site.store, "single", "single-queue", lease_seconds=3_600.0)
    hostile = dataclasses.replace(item(1, "single", HOSTILE), texts=Texts(responses=(text,)))
    add_items(served.site.store, queue, [hostile], at=0.0)
    page = served.visit(PersonRole.ANNOTATOR, "ann")
    found = watch(page)
    page.goto("/review")
    page.get_by_role("button", name="Next task").click()
    response = page.locator("[data-response]")
    assert response.inner_text().count('<script>alert("x")</script>') > 1_000
    assert response.locator("script, img").count() == 0
    assert response.locator("[data-code='U+202E']").count() > 10
    page.keyboard.press("4")
    page.keyboard.press("4")
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**note=none*")
    assert found == []


PAGES = (
    *("/", "/models/meta%2Fllama-3", "/experiments", "/experiments/prompt", "/results", "/compare"),
    *("/decisions", "/decisions/new", "/audit", "/review", "/queues", "/queues/single-queue"),
    *(
        "/queues/single-queue/agreement",
        "/annotators",
        "/adjudicate",
        "/admin",
        "/people",
        "/erase",
    ),
)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(served: Served, scheme: Any) -> None:
    """No page violates a rule of axe, and none writes an error to the console.

    In the dark only the colours differ, so a quarter of the pages is enough there.
    """
    from axe_playwright_python.sync_playwright import Axe

    options = {"bypass_csp": True, "color_scheme": scheme}  # axe is a script of the test
    problems = {}
    chosen = visits(served, **options)
    if scheme == "dark" and not LONG:
        chosen = chosen[::4]
    for page, address in chosen:
        errors = watch(page)
        page.goto(address)
        found = [
            f"{each['id']}: {[node['html'][:200] for node in each['nodes']]}"
            for each in Axe().run(page).response["violations"]
        ]
        if found + errors:
            problems[address] = found + errors
    assert problems == {}


def visits(served: Served, **options: Any) -> list[tuple[Page, str]]:
    """Return all pages with a browser of somebody who may see them."""
    scene = furnish(served.site.store, at=served.site.clock())
    admin = served.visit(PersonRole.ADMIN, "root", **options)
    annotator = served.visit(PersonRole.ANNOTATOR, "ann", **options)
    found = [(admin, address) for address in (*PAGES, f"/adjudicate/{scene.contested}")]
    return found + [(annotator, f"/review/task/{each}") for each in scene.tasks.values()]


def test_no_page_is_wider_than_a_phone(served: Served) -> None:
    """At 360 pixels the page itself does not scroll sideways; tables scroll in their place."""
    wide = {}
    for page, address in visits(served, width=360):
        page.goto(address)
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > 360:
            wide[re.sub("[0-9a-f]{32}", "ID", address)] = width
    assert wide == {}
