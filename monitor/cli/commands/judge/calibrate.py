"""`plumbline judge calibrate`: compare the judge with human labels, and publish them."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from monitor.cli.arguments import input_file, output_file
from monitor.cli.options import add_command, add_config, add_json, load_config, print_json
from monitor.errors import UserError

if TYPE_CHECKING:  # slow to import, and other commands do not need it
    from judges.trust.calibration.labels import Label
    from judges.trust.calibration.summary import RubricSummary
    from monitor.config.schema import Config


def add(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "calibrate",
        _calibrate,
        "compare the judge with human labels: agreement, bias, pass mark and corrected quality",
        "plumbline judge calibrate labels.jsonl --publish",
    )
    parser.add_argument(
        "labels", type=input_file, metavar="LABELS.jsonl", help="JSON labels, one per line"
    )
    parser.add_argument("--rubric", metavar="R", help="only the labels of this rubric")
    parser.add_argument(
        "--publish",
        action="store_true",
        help="write the labels to the evaluations topic, where they correct the live quality; a"
        " label that is published again replaces the earlier one",
    )
    parser.add_argument(
        "--report", type=output_file, metavar="FILE", help="write the report as JSON"
    )
    add_config(parser)
    add_json(parser)


def _calibrate(arguments: argparse.Namespace) -> int:
    from judges.trust.calibration.judged import evaluation_name
    from judges.trust.calibration.labels import read_labels
    from judges.trust.calibration.summary import summary_json, summary_text
    from monitor.roles.judge_kpis import kpi_lines, kpi_report

    if str(arguments.labels) == "-":
        raise UserError("LABELS.jsonl: name a file; standard input is not possible")
    labels = _chosen(read_labels(arguments.labels), arguments.rubric)
    # A file with the verdicts of the judge is enough, unless labels are published: only the topic
    # has the model and the version to which they belong.
    offline = all(label.judged for label in labels) and not arguments.publish
    config = load_config(arguments, secrets=not offline)
    if offline:
        summaries = [_of_file(rubric, config, labels) for rubric in _rubrics(labels)]
    else:
        summaries = _of_topic(config, labels, publish=arguments.publish)
    rubrics = [evaluation_name(each.rubric) for each in summaries]
    # only names: a calibration compares judges, and its means are those of labelled responses
    kpis = kpi_report(config.judges, dict.fromkeys(rubrics))
    report = summary_json(summaries) | kpis
    if arguments.report:
        arguments.report.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if arguments.json:
        return print_json(report)
    print(summary_text(summaries), end="")
    for line in kpi_lines(kpis):
        print(line)
    return 0


def _chosen(labels: list[Label], rubric: str | None) -> list[Label]:
    """Return the labels of a rubric; all without one. Raises UserError if there are none."""
    if rubric is None:
        return labels
    chosen = [label for label in labels if label.rubric == rubric]
    if not chosen:
        names = ", ".join(repr(name) for name in _rubrics(labels)[:10])
        raise UserError(f"--rubric {rubric}: no label has this rubric; there are {names}")
    return chosen


def _rubrics(labels: list[Label]) -> list[str]:
    return sorted({label.rubric for label in labels})


def _of_file(rubric: str, config: Config, labels: list[Label]) -> RubricSummary:
    """Return the results of a rubric from the verdicts in the file."""
    import numpy as np

    from judges.trust.calibration.calibrate import Verdict, calibrate
    from judges.trust.calibration.summary import RubricSummary

    chosen = [label for label in labels if label.rubric == rubric]
    verdicts = [
        Verdict(*label.key, score=label.judge_score, passed=label.judge_passed) for label in chosen
    ]
    mark = _pass_mark(config, rubric)
    found = calibrate(chosen, verdicts, np.random.default_rng(0), pass_mark=mark)
    return RubricSummary(rubric, found)


def _of_topic(config: Config, labels: list[Label], *, publish: bool) -> list[RubricSummary]:
    """Return the results of all rubrics from the evaluations topic; publish labels if requested."""
    import numpy as np

    from judges.trust.calibration.calibrate import calibrate
    from judges.trust.calibration.corrected import model_qualities, published
    from judges.trust.calibration.dimensions import compare_dimensions
    from judges.trust.calibration.judged import JudgedCases
    from judges.trust.calibration.summary import RubricSummary
    from monitor.roles import evaluation_publisher

    cases = JudgedCases(labels)
    for evaluation, written in evaluation_publisher.written_evaluations(config.kafka):
        cases.add(evaluation, written)
    summaries, outgoing = [], []
    for rubric in _rubrics(labels):
        judged, mark = cases.of(rubric), _pass_mark(config, rubric)
        summary = RubricSummary(
            rubric,
            calibrate(judged.labels, judged.verdicts(), np.random.default_rng(0), pass_mark=mark),
            judged.version,
            model_qualities(rubric, judged, pass_mark=mark),
            compare_dimensions(judged.rows),
            judged.left_out,
        )
        if publish:
            publication = published(rubric, judged, pass_mark=mark)
            outgoing += publication.evaluations
            count, left_out = len(publication.evaluations), publication.left_out
            summary = replace(summary, published=count, unpublished=left_out)
        summaries.append(summary)
    if publish:
        if not outgoing:
            raise UserError("--publish: no label of a whole response has a score")
        evaluation_publisher.publish(config.kafka, outgoing)
    return summaries


def _pass_mark(config: Config, rubric: str) -> float | None:
    """Return the pass mark of a rubric by its name: a configured one, or a shipped one."""
    from judges.rubrics.loading import load, shipped

    for each in map(load, config.judges.rubrics):
        if each.name == rubric:
            return each.pass_mark
    return load(rubric).pass_mark if rubric in shipped() else None
