"use strict";
// Keys for tasks, marked errors, active time, and parts of pages that change. Pages work without it.
document.documentElement.classList.add("js");
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const one = (selector) => document.querySelector(selector);

// Rows of choices: digits choose, j and k move.
const rows = all("[data-row]");
let current = 0;

function showRow(index, focus = true) {
  if (!rows.length) return;
  current = Math.max(0, Math.min(rows.length - 1, index));
  rows.forEach((row, number) => row.classList.toggle("current", number === current));
  const input = rows[current].querySelector("input:checked") || rows[current].querySelector("input");
  if (focus) {
    input.focus({ preventScroll: true });
    rows[current].scrollIntoView({ block: "nearest" });
  }
}

function choose(digit) {
  const input = rows[current].querySelector(`input[data-key="${digit}"]`);
  if (!input) return;
  input.checked = true;
  showRow(current + 1);
}

// Marked errors: positions count code points, as the server does.
const kinds = all("[data-kinds] [data-kind]");
const list = one("[data-spans]");
const responses = all("[data-response].document");
const points = (text) => [...text].length;

function chosen() {
  const selection = getSelection();
  if (!selection.rangeCount || selection.isCollapsed) return null;
  const range = selection.getRangeAt(0);
  const box = responses.find((each) => each.contains(range.commonAncestorContainer));
  if (!box) return null;
  const before = document.createRange();
  before.setStart(box, 0);
  before.setEnd(range.startContainer, range.startOffset);
  const leading = range.toString().length - range.toString().trimStart().length;
  const text = range.toString().trim();
  const start = points(before.toString()) + leading;
  return text ? { box, start, end: start + points(text), text } : null;
}

function mark(kind) {
  const found = chosen();
  if (!found || all("li", list).length >= 200) return;
  const input = document.createElement("input");
  input.type = "checkbox";
  input.name = "span";
  input.checked = true;
  const label = document.createElement("label");
  const quote = document.createElement("q");
  quote.append(Object.assign(document.createElement("bdi"), { textContent: found.text.slice(0, 200) }));
  label.append(input, " ", document.createElement("span"), " ", quote);
  const item = document.createElement("li");
  Object.assign(item.dataset, { start: found.start, end: found.end, kind, severity: "major" });
  item.dataset.response = found.box.dataset.response;
  item.append(label);
  list.append(item);
  write(item);
  const none = one('input[name="no_errors"]');
  if (none) none.checked = false;
  getSelection().collapseToEnd();
  highlight();
}

function write(item) {
  const { response, start, end, severity, kind } = item.dataset;
  item.querySelector("input").value = [response, start, end, severity, kind].join(":");
  const label = item.querySelector("label span");
  if (label) label.textContent = `${severity} ${kind}:`;
}

function position(box, offset) {
  const walker = document.createTreeWalker(box, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const letters = [...node.data];
    if (offset <= letters.length) return [node, letters.slice(0, offset).join("").length];
    offset -= letters.length;
  }
  return [box, box.childNodes.length];
}

function highlight() {
  if (!list || !globalThis.Highlight) return;
  const ranges = all("li", list).filter((item) => item.querySelector("input").checked).map((item) => {
    const box = responses[Number(item.dataset.response)];
    const range = document.createRange();
    range.setStart(...position(box, Number(item.dataset.start)));
    range.setEnd(...position(box, Number(item.dataset.end)));
    return range;
  });
  CSS.highlights.set("errors", new Highlight(...ranges));
}

// Words are what is between spaces, without punctuation around them; scripts without spaces are split.
const spaceless = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u;
const wordsOf = new Map();

function words(box) {
  if (wordsOf.has(box)) return wordsOf.get(box);
  const split = globalThis.Intl?.Segmenter && new Intl.Segmenter(undefined, { granularity: "word" });
  const found = [];
  for (const { 0: run, index } of box.textContent.matchAll(/\S+/gu)) {
    const parts = split && spaceless.test(run) ? [...split.segment(run)] : [{ segment: run, index: 0 }];
    for (const part of parts) {
      const word = part.segment.replace(/[^\p{L}\p{N}\p{M}]+$/u, "") || part.segment;
      const leading = word.search(/[\p{L}\p{N}]/u);
      const start = index + part.index + Math.max(0, leading);
      found.push([start, index + part.index + word.length]);
    }
  }
  wordsOf.set(box, found);
  return found;
}

function place(box, unit) { // node and offset of a UTF-16 unit
  const walker = document.createTreeWalker(box, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    if (unit <= node.length) return [node, unit];
    unit -= node.length;
  }
  return [box, box.childNodes.length];
}

function offset(box, node, at) {
  const before = document.createRange();
  before.setStart(box, 0);
  before.setEnd(node, at);
  return before.toString().length;
}

function select(box, start, end) {
  getSelection().setBaseAndExtent(...place(box, start), ...place(box, end));
  const rect = getSelection().getRangeAt(0).getBoundingClientRect();
  const outer = box.getBoundingClientRect();
  if (rect.top < outer.top || rect.bottom > outer.bottom) box.scrollTop += rect.top - outer.top - outer.height / 3;
  if (rect.top < 0 || rect.bottom > innerHeight) scrollBy(0, rect.top - innerHeight / 3);
}

function enter(box) {
  box.focus();
  const first = words(box)[0];
  if (first && !box.contains(getSelection().anchorNode)) select(box, ...first);
}

function line(box, direction) { // where the selection is a line further
  const selection = getSelection();
  if (direction === "backward") selection.collapseToStart();
  else selection.collapseToEnd();
  selection.modify("move", direction, "line");
  if (!box.contains(selection.focusNode)) return direction === "backward" ? 0 : box.textContent.length;
  return offset(box, selection.focusNode, selection.focusOffset);
}

function moveWord(box, direction, extend, vertical) {
  const selection = getSelection();
  if (!selection.rangeCount || !box.contains(selection.anchorNode)) return enter(box);
  const range = selection.getRangeAt(0), known = words(box);
  if (!known.length || !box.contains(range.endContainer)) return;
  const start = offset(box, range.startContainer, range.startOffset);
  const end = offset(box, range.endContainer, range.endOffset);
  const forward = direction === "forward";
  let next;
  if (vertical) {
    const to = line(box, direction);
    next = known.find((word) => word[1] >= to) || known.at(-1);
  } else if (forward) next = known.find((word) => word[0] >= end);
  else next = known.findLast((word) => (extend ? word[1] < end && word[0] >= start : word[1] <= start));
  if (!next && extend && !forward) { // the first word alone is left: extend to the left
    next = known.findLast((word) => word[1] <= start);
    return next ? select(box, next[0], end) : undefined;
  }
  if (!next) return select(box, start, end);
  if (!extend) return select(box, ...next);
  return vertical && !forward ? select(box, Math.min(start, next[0]), end) : select(box, start, next[1]);
}

// Keys. Fields that take text keep theirs.
const arrows = { ArrowRight: ["forward"], ArrowLeft: ["backward"], ArrowDown: ["forward", true], ArrowUp: ["backward", true] };

function open(id) {
  const details = document.getElementById(id);
  if (!details) return;
  details.open = true;
  details.scrollIntoView({ block: "nearest" });
  (details.querySelector("input:not([type=hidden])") || details.querySelector("summary")).focus();
}

function onKey(event) {
  const form = document.getElementById("answer");
  const target = event.target;
  if ((event.ctrlKey || event.metaKey) && event.key === "Enter") {
    event.preventDefault();
    return (target.form || form).requestSubmit();
  }
  const writes = target.matches("textarea, select, input:not([type=radio], [type=checkbox])");
  if (event.ctrlKey || event.metaKey || event.altKey || writes) return;
  if (target.matches("[data-response].document") && kinds.length && arrows[event.key]) {
    const [direction, vertical] = arrows[event.key];
    moveWord(target, direction, event.shiftKey, vertical);
    return event.preventDefault();
  }
  if (target.closest("#skip") && event.key !== "?") return;
  const last = list && list.lastElementChild;
  const actions = {
    j: () => showRow(current + 1),
    k: () => showRow(current - 1),
    s: () => open("skip"),
    u: () => document.getElementById("undo")?.requestSubmit(),
    e: () => kinds.length && enter(responses[(responses.indexOf(target) + 1) % responses.length]),
    m: () => last && ((last.dataset.severity = last.dataset.severity === "minor" ? "major" : "minor"), write(last)),
    x: () => last && (last.remove(), highlight()),
    "?": () => open("help"),
  };
  const kind = kinds.find((each) => each.dataset.key === event.key);
  if (kind) mark(kind.dataset.kind);
  else if (/^\d$/.test(event.key)) {
    if (rows.length) choose(event.key);
    else one('input[data-key="0"]')?.click();
  } else if (actions[event.key]) actions[event.key]();
  else return;
  event.preventDefault();
}

if (one("[data-task]")) {
  document.addEventListener("keydown", onKey);
  showRow(0, !one("#error"));
  rows.forEach((row, number) => row.addEventListener("focusin", () => showRow(number, false)));
  kinds.forEach((each) => {
    each.addEventListener("mousedown", (event) => event.preventDefault()); // keeps the selection
    each.addEventListener("click", () => mark(each.dataset.kind));
  });
  list?.addEventListener("change", highlight);
  if (kinds.length) enter(responses[0]);
  highlight();
}

// Active time: seconds in which the page is visible and a key, pointer or wheel was used lately.
let active = 0;
let used = performance.now();
["keydown", "pointermove", "wheel"].forEach((name) => addEventListener(name, () => { used = performance.now(); }, { passive: true }));
setInterval(() => {
  if (document.visibilityState !== "visible" || performance.now() - used > 60000) return;
  active += 250;
  all("[data-active]").forEach((input) => { input.value = active; });
}, 250);

// Parts that change: load the page again and replace them, by events, else by time.
let loading = false;
const focusable = "a, button, summary, [tabindex]";
async function reload() {
  if (loading || document.visibilityState !== "visible") return;
  loading = true;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    all("[data-live]").forEach((part) => {
      const made = page.getElementById(part.id);
      if (!made || made.innerHTML === part.innerHTML) return;
      const focused = all(focusable, part).indexOf(document.activeElement);
      part.replaceWith(document.adoptNode(made));
      all(focusable, made)[focused]?.focus({ preventScroll: true });
    });
  } catch { /* the next time tries again */ } finally { loading = false; }
}
const { stream, poll } = document.body.dataset;
if (poll) setInterval(reload, 1000 * Number(poll));
if (stream !== undefined && globalThis.EventSource) {
  const source = new EventSource("/api/v1/stream");
  source.addEventListener("experiment", (event) => {
    if (!stream || JSON.parse(event.data).experiment === stream) reload();
  });
}
