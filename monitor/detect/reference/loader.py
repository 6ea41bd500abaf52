"""Load the configured references, and build profiles from files of records."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from monitor.config.schema import Config
from monitor.detect.reference import builder, store
from monitor.detect.reference.profile import Profile
from monitor.detect.reference.store import UnusableReferenceError
from monitor.ingest import files
from monitor.ingest.chunks import segments
from monitor.ingest.chunks.columns import Columns
from monitor.ingest.fields.limits import OTHER, Dropped
from monitor.ingest.files.rejections import text


def load(config: Config, dropped: Dropped | None = None) -> dict[tuple[str, str], Profile]:
    """Return the configured references by model and segment; none for a warm-up.

    dropped: receives the names that limits cut off when the references were built.
    Raises UnusableReferenceError.
    """
    source = config.reference
    if source.source == "file":
        return _by_segment(from_files([source.path], config, dropped=dropped))
    if source.source == "named":
        version = store.promoted(source.directory, source.name)
        if dropped is not None:
            dropped.update(version.dropped)
        return _by_segment(version.profiles)
    return {}


def _by_segment(profiles: Iterable[Profile]) -> dict[tuple[str, str], Profile]:
    return {(profile.model, profile.segment): profile for profile in profiles}


def from_files(
    paths: Sequence[Path],
    config: Config,
    progress: Callable[[int], None] = lambda _: None,
    reader: files.LogReader | None = None,
    dropped: Dropped | None = None,
) -> list[Profile]:
    """Return the profiles of all models and segments in files of records.

    reader: counts the records that are rejected. dropped: receives the names that limits cut off.

    Models with fewer records than a window are left out and will warm up.
    Raises UnusableReferenceError if a file cannot be read or no model fills a window.
    """
    pieces: defaultdict[tuple[str, str], list[Columns]] = defaultdict(list)
    reader, dropped = reader or files.reader(config), Dropped() if dropped is None else dropped
    try:
        for batch in reader.batches(paths, progress):
            for columns in batch.by_model():
                for segment, part in segments.split(columns, config.segments):
                    pieces[columns.model, segment].append(part)
    except OSError as error:
        raise UnusableReferenceError(f"cannot read {error.filename}: {error.strerror}") from None
    profiles = [
        builder.build(
            parts,
            segment=segment,
            window=config.windows.records,
            categories=config.limits.categories,
            scores=config.limits.scores,
            dropped=dropped,
        )
        for (model, segment), parts in sorted(pieces.items())
        if model != OTHER and sum(map(len, parts)) >= config.windows.records
    ]
    dropped.update(reader.extractor.dropped)
    if not profiles:
        raise UnusableReferenceError(
            f"no model has a window of {config.windows.records} records in "
            + ", ".join(map(str, paths))
            + "".join(f"; rejected: {text(each)}" for each in reader.rejections.by_reason())
        )
    return profiles
