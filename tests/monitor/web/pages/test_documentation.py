"""docs/pages.md names all pages, with their roles, and its configuration leads to them."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from monitor.config.load import load
from monitor.web.sign_in.roles import PersonRole
from tests.monitor.web.clients import Site
from tests.monitor.web.pages.markup import Page
from tests.monitor.web.pages.published import MODEL
from tests.monitor.web.pages.scenes import Scene
from tests.monitor.web.pages.test_pages import PAGES
from tests.test_documents import ROOT, blocks

DOCUMENT = ROOT / "docs" / "pages.md"
ROWS = re.findall(r"^\| (`/.*?) \| .* \| (.*) \|$", DOCUMENT.read_text(), re.MULTILINE)


def pattern(address: str) -> str:
    """Return an address without the names of its parameters."""
    return re.sub(r"\{[^}]*\}|NAME|ID", "*", address)


def test_all_pages_are_documented_with_their_role() -> None:
    """Each route of a page is in a table, with the role that it needs."""
    documented = {
        pattern(address): role.partition(";")[0]
        for addresses, role in ROWS
        for address in re.findall(r"`([^`]*)`", addresses)
    }
    served = {pattern(path): role.label for path, role in PAGES.items() if path != "/models"}
    assert documented == served


def test_links_of_notifications_lead_to_pages(site: Site, scene: Scene, tmp_path: Path) -> None:
    """The documented links are accepted, and their addresses answer for a name with a slash."""
    (text,) = blocks(DOCUMENT, "yaml")
    file = tmp_path / "plumbline.yaml"
    file.write_text(text)
    links = load(file, {}, secrets=False).notifications
    client = site.as_role(PersonRole.VIEWER)
    for link, name in (
        (links.dashboard_url, MODEL),
        (links.replay_url, MODEL),
        (links.experiment_url, "prompt"),
    ):
        assert link is not None
        address = link.format(model=name.replace("/", "%2F"), experiment=name)
        parts = urlsplit(address)
        page = Page(client.get(f"{parts.path}?{parts.query}").text)
        assert page.headings.count(1) == 1
        assert name in page.text
