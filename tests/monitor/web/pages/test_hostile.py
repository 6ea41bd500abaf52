"""Text from records never changes the structure of a page, whatever it contains."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from monitor.config.sections.process.web import WebConfig
from monitor.database.opening import open_store
from monitor.database.store import Store
from monitor.web.pages.plots.svg import element
from monitor.web.pages.text import path_of, plain, quoted, shown
from monitor.web.sign_in.roles import PersonRole
from monitor.web.views.sources import Sources
from tests.monitor.web.clients import Site
from tests.monitor.web.pages.markup import Page
from tests.monitor.web.pages.published import HOSTILE, MODEL, Roles, Runs
from tests.monitor.web.pages.scenes import ANSWER, furnish
from tests.monitor.web.reviews import SCHEMAS, Clock

TEXT = st.text(st.characters() | st.sampled_from("<>&\"'/\\{}%\r\n\x00\u202e\u2066\ud800\ufeff"))
HIDDEN = {"Cc", "Cs"}
BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


@given(text=TEXT)
@example(text=HOSTILE)
def test_no_hidden_character_is_left(text: str) -> None:
    """No control, direction mark or surrogate is left, and positions stay."""
    found = plain(text)
    assert len(found) == len(text)
    assert not any(unicodedata.category(c) in HIDDEN for c in found if c not in "\n\t")
    assert not any(unicodedata.bidirectional(c) in BIDI for c in found)
    assert all(a == b for a, b in zip(text, found, strict=True) if a.isprintable())
    found.encode()


@given(text=TEXT)
@example(text=HOSTILE)
def test_shown_text_has_the_same_characters_as_plain(text: str) -> None:
    """The markup of a text is its plain form, with marks around hidden characters only."""
    page = Page(f"<div>{shown(text)}</div>")
    assert page.text == plain(text)
    assert page.shape == [("div", ())]


def test_many_hidden_characters_do_not_multiply_the_page() -> None:
    """Beyond a number, hidden characters are replaced without a label."""
    assert len(shown("\u202e" * 1_000_000)) < 1_200_000


@given(name=TEXT.filter(bool))
def test_the_address_of_a_name_leads_to_it(name: str) -> None:
    """The address is ASCII, has no part that a browser resolves, and contains the name."""
    address = path_of("/models", name)
    address.encode("ascii")
    path, _, query = address.partition("?")
    assert path == "/models" or path.startswith("/models/")
    assert not {".", ".."} & set(path.split("/"))
    assert quoted(name) in (path, query) or quoted(name) in address


@given(text=TEXT)
def test_elements_of_plots_are_escaped(text: str) -> None:
    """Texts and attributes of a plot cannot end their element."""
    page = Page(str(element("text", text, kind=text, x=1.0)))
    assert [tag for tag, _ in page.shape] == ["text"]
    assert page.text == plain(text).replace("\r", "\n")


PAGES = (
    *("/", "/experiments", "/results", "/compare", "/decisions", "/audit", "/annotators"),
    *("/queues", "/queues/spans-queue", "/queues/pairwise-queue/agreement", "/adjudicate"),
)


def shapes(store: Store, text: str, model: str, person: str) -> dict[str, Page]:
    """Return all pages with a text in every place where one from a record can be."""
    config = WebConfig(host="127.0.0.1", sign_in="required")
    # Names come from JSON, which has no lone surrogates.
    name, model = text.replace("\ud800", ""), model.replace("\ud800", "")
    sources = Sources(Roles(model, name).published(), Runs(model, name))
    site = Site(store, Clock(), config, sources)
    scene = furnish(store, text, person)
    site.token(PersonRole.ANNOTATOR, name=person)
    admin = site.as_role(PersonRole.ADMIN, "root")
    annotator = site.as_role(PersonRole.ANNOTATOR, person)
    addresses = {each: each for each in PAGES}
    addresses["model"] = path_of("/models", model)
    addresses["experiment"] = path_of("/experiments", name)
    addresses["new"] = f"/decisions/new?subject={quoted('model/' + model)}"
    addresses["item"] = f"/adjudicate/{scene.contested}"
    found = {name: admin.get(address) for name, address in addresses.items()}
    found |= {
        task: annotator.get(f"/review/task/{identity}") for task, identity in scene.tasks.items()
    }
    assert {name: each.status_code for name, each in found.items() if each.status_code != 200} == {}
    return {name: Page(each.text) for name, each in found.items()}


@pytest.fixture(scope="module")
def harmless(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Page]:
    """Return the pages with a harmless text."""
    path = tmp_path_factory.mktemp("harmless") / "web.db"
    with open_store(f"sqlite:///{path}", None, SCHEMAS) as store:
        return shapes(store, ANSWER, MODEL, "ann")


def test_hostile_text_changes_no_page(harmless: dict[str, Page], tmp_path: Path) -> None:
    """With hostile names, prompts, responses, comments and reasons each page has the same tags."""
    with open_store(f"sqlite:///{tmp_path / 'web.db'}", None, SCHEMAS) as store:
        found = shapes(store, HOSTILE, f"{HOSTILE}/m", "<b>ann</b>\u202e")
    for name, page in found.items():
        assert page.shape == harmless[name].shape, name
        assert "\u202e" not in page.html
        assert "<script>alert" not in page.html
        assert "49" not in page.text.replace("0.49", "") or "{{ 7 * 7 }}" in page.text


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@example(text="\n", model="a\nb\n")
@given(text=TEXT.filter(lambda text: text.strip("./")), model=TEXT.filter(bool))
def test_any_name_has_a_page(sqlite_store: Store, text: str, model: str) -> None:
    """Pages of models and experiments answer for every name, with the same structure."""
    sources = Sources(Roles(model, text).published(), Runs(model, text))
    site = Site(sqlite_store, Clock(), WebConfig(), sources)
    for address in ("/", path_of("/models", model), path_of("/experiments", text), "/results"):
        if len(address) > 4_000:
            continue
        answer = site.client().get(address)
        assert answer.status_code == 200, (address, answer.text[:300])
        assert Page(answer.text).headings.count(1) == 1
