"""Merge the closed sums of the shards of an experiment to the data of a look."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from detectors.arrays import Floats
from monitor.experiments.design import QUANTILES, Design
from monitor.experiments.sums.layout import SHARD_BUCKETS, SHARD_HISTOGRAM_BUCKETS, Layout
from monitor.experiments.sums.look import (
    BINS,
    BUCKETS,
    HISTOGRAM_BUCKETS,
    SHARDS,
    LookData,
    MetricSums,
)
from monitor.experiments.sums.state import Partial
from monitor.experiments.sums.totals import MeanSums, Totals
from monitor.statistics.exact import Counts

DAY: Final = 86_400.0
LEAST_SHARE_OF_WEEKDAY: Final = 0.005
"""A day of the week counts if it has this share of the requests of an arm: single requests with a
wrong time do not."""

Partials = Mapping[tuple[int, int], Partial]
"""Closed sums by shard and partition. A shard has two if the number of partitions has changed."""


def look_time(partials: Iterable[Partial]) -> tuple[float, bool]:
    """Return the time of the next look, and whether every shard has reached it.

    A shard without later exposures has reached any time. The time is that of the third shard, so
    that a wrong clock in one of them does not decide; once no shard has later exposures, that of
    the first. Shards more than a day ahead of half of the others are ignored. (0, False) if no sums
    are closed.
    """
    found = [each for each in partials if each.time > 0]
    times = sorted(each.time for each in found)
    if not times:
        return 0.0, False
    limit = times[(len(times) - 1) // 2] + DAY
    credible = [time for time in times if time <= limit]
    pending = any(each.pending for each in found)
    latest = credible[-3] if pending and len(credible) >= SHARDS // 2 else credible[-1]
    return latest, all(each.time >= latest or not each.pending for each in found)


def merge(design: Design, layout: Layout, partials: Partials, time: float) -> LookData:
    """Return the data of a look at an experiment at `time`.

    Partials of other phases must not be among them.
    """
    adapted = {key: each.totals.adapted(layout) for key, each in partials.items()}
    all_totals = list(adapted.values())
    arms = len(layout.arms)
    requests = _requests(adapted, arms)
    total = requests.sum(axis=1)
    largest = requests.max(axis=1) / np.maximum(total, 1)
    return LookData(
        time=time,
        first_time=_first_time(partials.values(), layout.begin),
        users=_summed(all_totals, "users", arms),
        requests=tuple(total.tolist()),
        in_several_arms=sum(each.in_several_arms for each in all_totals),
        largest_bucket=tuple(largest.tolist()),
        disagreements=sum(each.disagreements for each in all_totals),
        other_variants=sum(each.other_variants for each in all_totals),
        late=sum(each.late for each in all_totals),
        weekdays=_weekdays(all_totals, arms),
        sums=_metric_sums(layout, {key: each.means for key, each in adapted.items()}),
        before=_metric_sums(layout, {key: each.before for key, each in adapted.items()})
        if layout.before
        else {},
        histograms=_histograms(design, layout, adapted),
    )


def _requests(totals: Mapping[tuple[int, int], Totals], arms: int) -> Counts:
    requests: Counts = np.zeros((arms, BUCKETS), np.int64)
    for (shard, _), each in totals.items():
        requests[:, _buckets(shard, SHARD_BUCKETS)] += each.requests
    return requests


def _buckets(shard: int, size: int) -> slice:
    return slice(shard * size, (shard + 1) * size)


def _first_time(partials: Iterable[Partial], begin: float | None) -> float | None:
    """Return the earliest first time; of those that are final, if there are any.

    begin: of the experiment. A state from before it was configured has an earlier time.
    """
    found = [each for each in partials if each.first > 0]
    times = [each.first for each in found if each.settled] or [each.first for each in found]
    first = min(times, default=None)
    return first if first is None or begin is None else max(first, begin)


def _summed(totals: Sequence[Totals], name: str, arms: int) -> tuple[int, ...]:
    zeros: Counts = np.zeros(arms, np.int64)
    return tuple(sum((getattr(each, name) for each in totals), zeros).tolist())


def _weekdays(totals: Sequence[Totals], arms: int) -> tuple[frozenset[int], ...]:
    days: Counts = sum((each.weekdays for each in totals), np.zeros((arms, 7), np.int64))
    least = np.maximum(1, LEAST_SHARE_OF_WEEKDAY * days.sum(axis=1))
    return tuple(
        frozenset(np.flatnonzero(row >= needed).tolist())
        for row, needed in zip(days, least, strict=True)
    )


def _metric_sums(layout: Layout, sums: Mapping[tuple[int, int], MeanSums]) -> dict[str, MetricSums]:
    shape = len(layout.means), len(layout.arms), SHARD_BUCKETS
    shards: dict[int, MeanSums] = {}
    for (shard, _), each in sums.items():
        if shard not in shards:
            shards[shard] = MeanSums(len(each.n))
        shards[shard].merge(each)
    x: Floats = np.zeros((*shape[:2], BUCKETS))
    n: Floats = np.zeros((*shape[:2], BUCKETS))
    for shard, each in shards.items():
        x[:, :, _buckets(shard, SHARD_BUCKETS)] = each.x.floats().reshape(shape)
        n[:, :, _buckets(shard, SHARD_BUCKETS)] = each.n.reshape(shape)
    return {mean.name: MetricSums(x[index], n[index]) for index, mean in enumerate(layout.means)}


def _histograms(
    design: Design, layout: Layout, totals: Mapping[tuple[int, int], Totals]
) -> dict[str, Counts]:
    shape = len(layout.histograms), len(layout.arms), HISTOGRAM_BUCKETS, BINS
    counts: Counts = np.zeros(shape, np.int64)
    for (shard, _), each in totals.items():
        counts[:, :, _buckets(shard, SHARD_HISTOGRAM_BUCKETS)] += each.histograms
    by_feature = dict(zip(layout.histograms, counts, strict=True))
    return {
        metric.name: by_feature[metric.feature]
        for metric in design.metrics
        if metric.scale in QUANTILES
    }
