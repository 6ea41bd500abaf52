"""The evaluations topic, for the quality in the JSON API and in the metrics of the judge role."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from judges.live.quality import QualityHistory
from monitor.config.sections.kafka.section import KafkaConfig
from monitor.events.evaluations import EvaluationError, decode_evaluation
from monitor.kafka.topics import Topics
from monitor.roles.judge_metrics import rubric_label
from monitor.roles.topic_log import TopicLog
from monitor.telemetry.counters.judging import Quality
from monitor.telemetry.counters.metrics import Metrics


class QualityLog:
    """Quality of all models, from the evaluations of all processes and from published labels.

    Any process computes the same numbers. They are exported as metrics only where the judge role
    runs, which calls `start`.
    """

    def __init__(
        self, config: KafkaConfig, metrics: Metrics, stop: Callable[[float], bool]
    ) -> None:
        self._metrics = metrics
        self._log = TopicLog(
            config,
            Topics(config.prefix).evaluations,
            QualityHistory,
            self._add,
            stop,
            watch=self._publish,
        )
        self.start = self._log.start

    def report(self) -> dict[str, Any]:
        """Return the quality by model and rubric, and the agreement of judges, for the API.

        Raises HistoryUnavailableError if the topic is not read to its end in time.
        """
        history = self._log.content()
        qualities = []
        for each in history.estimates():
            fields = asdict(each)
            rubric = rubric_label(fields.pop("name"))
            qualities.append({"model": fields.pop("model"), "rubric": rubric, **fields})
        qualities.sort(key=lambda found: (found["model"], found["rubric"]))
        return {"quality": qualities, "agreement": _agreement(history)}

    def _add(self, history: QualityHistory, value: bytes) -> None:
        """Add the evaluation of a message; a message that is none is ignored."""
        try:
            history.add(decode_evaluation(value), self._log.written)
        except EvaluationError:
            return

    def _publish(self, history: QualityHistory) -> None:
        if self._metrics.judging is None:
            return
        quality, passing = {}, {}
        for each in history.estimates():
            key, rate = (each.model, rubric_label(each.name)), each.pass_rate
            quality[key] = Quality(each.value, each.lower, each.upper)
            if rate.value is not None and rate.lower is not None and rate.upper is not None:
                passing[key] = Quality(rate.value, rate.lower, rate.upper)
        agreement = _agreement(history)
        with self._metrics.lock:
            self._metrics.judging.quality = quality
            self._metrics.judging.passing = passing
            self._metrics.judging.agreement = agreement


def _agreement(history: QualityHistory) -> dict[str, float]:
    return {rubric_label(name): alpha for name, alpha in sorted(history.agreement().items())}
