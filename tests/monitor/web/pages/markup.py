"""Reads a page: its structure, text, links, headings, forms."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "input", "br", "hr", "img"}


@dataclass
class Page(HTMLParser):
    """The parts of a page. shape: tags and names of attributes in order, without marked characters.

    tree: tags that are open.
    """

    html: str
    shape: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    text: str = ""
    links: list[str] = field(default_factory=list)
    headings: list[int] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    forms: list[dict[str, str]] = field(default_factory=list)
    fields: list[dict[str, str]] = field(default_factory=list)
    attributes: list[tuple[str, str]] = field(default_factory=list)
    tree: list[str] = field(default_factory=list)
    unlabelled: list[dict[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.feed(self.html)
        self.close()
        assert self.tree == [], f"tags are not closed: {self.tree}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record an element."""
        found = {name: value or "" for name, value in attrs}
        assert len(found) == len(attrs), f"a repeated attribute: {attrs}"
        if found.get("class") != "control":
            self.shape.append((tag, tuple(found)))
        self.attributes += found.items()
        if "id" in found:
            self.ids.append(found["id"])
        if tag == "a":
            self.links.append(found["href"])
        if tag == "form":
            self.forms.append(found)
        if tag in {"input", "select", "textarea", "button"}:
            self.fields.append({"tag": tag} | found)
        entered = tag in {"input", "select", "textarea"} and found.get("type") != "hidden"
        if entered and "label" not in self.tree and "aria-label" not in found:
            self.unlabelled.append(found)
        if len(tag) == 2 and tag[0] == "h" and tag[1].isdigit():
            self.headings.append(int(tag[1]))
        if tag not in VOID:
            self.tree.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close an element, which has to be the last that was opened."""
        assert self.tree[-1:] == [tag], f"{tag} closes {self.tree[-3:]}"
        self.tree.pop()

    def handle_data(self, data: str) -> None:
        """Record text."""
        self.text += data
