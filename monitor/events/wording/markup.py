"""Build HTML as an element tree; the serializer escapes all texts and attributes."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from monitor.events.wording.drift import printable

Child = Element | str | None
"""A child of an element; None is left out."""


def element(tag: str, *children: Child, **attributes: object) -> Element:
    """Return an element.

    Characters that are not printable are replaced. Names of attributes: `class_` for class,
    `aria_hidden` for aria-hidden.
    """
    node = Element(tag)
    for name, value in attributes.items():
        node.set(name.rstrip("_").replace("_", "-"), printable(str(value)))
    for child in children:
        if isinstance(child, str):
            _append_text(node, printable(child))
        elif child is not None:
            node.append(child)
    return node


def _append_text(node: Element, text: str) -> None:
    if len(node):
        node[-1].tail = (node[-1].tail or "") + text
    else:
        node.text = (node.text or "") + text


def table(headings: Sequence[str], rows: Iterable[Sequence[Child]], class_: str = "") -> Element:
    """Return a table whose rows begin with a heading. class_: "" or a class of style.css."""
    head = [element("th", heading, scope="col") for heading in headings]
    body = [
        element("tr", element("th", first, scope="row"), *(element("td", cell) for cell in rest))
        for first, *rest in rows
    ]
    content = element("table", element("thead", element("tr", *head)), element("tbody", *body))
    if class_:
        content.set("class", class_)
    return element("div", content, class_="scroll")


def unordered(items: Iterable[Child], class_: str) -> Element:
    """Return a list."""
    return element("ul", *(element("li", item) for item in items), class_=class_)


def document(title: str, style: str, *body: Child) -> bytes:
    """Return an HTML document, encoded.

    Its Content-Security-Policy allows this style sheet and nothing else: no script, no request.
    """
    style_hash = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{style_hash}'; base-uri 'none'"
    policy += "; form-action 'none'"
    sheet = Element("style")
    sheet.text = style
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="referrer", content="no-referrer"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        sheet,
    )
    root = element("html", head, element("body", *body), lang="en")
    markup = ElementTree.tostring(root, encoding="unicode", method="html")
    return f"<!DOCTYPE html>\n{markup}\n".encode()
