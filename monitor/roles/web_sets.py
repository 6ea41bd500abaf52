"""Evaluation sets in a folder, to which the web application adds reviewed responses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from monitor.errors import UserError, os_error_reason
from monitor.ingest.sampling.cut import MARKER
from monitor.ingest.sampling.privacy import Redact as TextRedact
from monitor.records import Sample
from monitor.redaction.redactor import Redacted
from monitor.web.review.model import ReviewError
from monitor.web.views.sources import Reviewed, SavedSet
from replay.sets import versions
from replay.sets.building.candidates import redacted_item
from replay.sets.item import Item
from replay.sets.item_set import approve
from replay.sets.measures.backlog import (
    backlog_path,
    known_failure,
    read_backlog,
    with_failures,
    write_backlog,
)
from replay.sets.sources.opinions import Opinions
from replay.sets.sources.samples import SampleRules, items_of_samples


class SetFolder:
    """Writes the sets of a folder.

    redact: applied to every text again, because the API adds items too; None if it is switched off.
    """

    def __init__(self, folder: Path, redact: TextRedact | None) -> None:
        self._folder = folder
        self._redact = redact

    def add_failure(self, name: str, failed: Reviewed, by: str, at: float) -> bool:
        """Add a response to the known failures of a set; return False if it was there already."""
        with _explained():
            found = [
                known_failure(item, item.provenance.detail, at)
                for item in self._items([failed], by)
                if item.provenance.origin == "disliked"
            ]
            if not found:
                raise ReviewError("this response has no prompt, so it cannot be an item")
            with versions.editing(self._folder, name):
                new = self._add(name, [item for item, _ in found])
                path = backlog_path(self._folder, name)
                write_backlog(path, with_failures(read_backlog(path), [each for _, each in found]))
        return bool(new)

    def freeze(self, name: str, reviewed: Sequence[Reviewed], by: str, at: float) -> SavedSet:
        """Add responses to a set, approved by a person, and freeze its next version."""
        with _explained(), versions.editing(self._folder, name):
            new = self._add(name, self._items(reviewed, by))
            candidates = versions.read_candidates(self._folder, name)
            made = versions.freeze(self._folder, name, candidates, at)
        return SavedSet(made.name, made.version, made.digest, len(made.items), new)

    def _items(self, reviewed: Sequence[Reviewed], by: str) -> list[Item]:
        opinions = Opinions()
        opinions.add_all(each.label for each in reviewed)
        samples = [_with_cut(each.sample) for each in reviewed]
        found = approve(items_of_samples(samples, opinions, SampleRules()), by)
        counts: Counter[str] = Counter()
        return [redacted_item(item, self._redacted, counts) for item in found]

    def _redacted(self, text: str) -> Redacted:
        return Redacted(text, {}) if self._redact is None else Redacted(*self._redact(text))

    def _add(self, name: str, found: Sequence[Item]) -> int:
        """Add items to the candidates of a set, and return the number of new ones.

        What a person rejected there stays out.
        """
        known = versions.read_candidates(self._folder, name)
        ids = {item.id for item in known} | versions.read_rejected(self._folder, name)
        new = {item.id: item for item in found if item.id not in ids}
        versions.write_candidates(self._folder, name, [*known, *new.values()])
        return len(new)


def _with_cut(sample: Sample) -> Sample:
    """Return a sample with the fields that were cut when it was drawn."""
    texts = {"response": sample.response, "reference": sample.reference}
    if isinstance(sample.prompt, str):
        texts["prompt"] = sample.prompt
    sample.cut = tuple(name for name, text in texts.items() if text and text.endswith(MARKER))
    return sample


@contextmanager
def _explained() -> Iterator[None]:
    """Raise what an admin can correct as an error of the page."""
    try:
        yield
    except UserError as error:
        raise ReviewError(str(error)) from None
    except OSError as error:
        reason = os_error_reason(error)
        raise ReviewError(f"the evaluation sets cannot be written: {reason}") from None
