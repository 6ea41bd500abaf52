"""`plumbline decode`: print the records in messages of any format."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any, get_args

from monitor.cli.arguments import input_file
from monitor.cli.options import add_command, add_config, load_config, print_error
from monitor.errors import UserError

if TYPE_CHECKING:
    from monitor.config.schema import Config
    from monitor.ingest.files import Rejections


def add(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "decode",
        _decode,
        "print the records of files in any format as native JSON lines, texts included; the last"
        " line of standard error counts records, and what was skipped and rejected, as JSON",
        "plumbline decode messages.jsonl --format litellm",
    )
    add_messages(parser)
    add_config(parser)


def add_messages(parser: argparse.ArgumentParser) -> None:
    """Add files of messages as positional arguments, --format and --envelope."""
    parser.add_argument(
        "files",
        nargs="+",
        type=input_file,
        metavar="FILE",
        help="files with one message per line, or with one that is binary or pretty-printed; gzip"
        " and zstd are decompressed; - is standard input",
    )
    parser.add_argument(
        "--format", metavar="FORMAT", help="format of the messages (default: that of the settings)"
    )
    add_envelope(parser)


def add_envelope(parser: argparse.ArgumentParser) -> None:
    """Add --envelope."""
    parser.add_argument(
        "--envelope",
        action="store_true",
        help='each line is {"key": ..., "headers": {...}, "value": ...}, where a key, a header or a'
        ' value is text or {"base64": ...}',
    )


def _decode(arguments: argparse.Namespace) -> int:
    from monitor.ingest.files import Rejections, decoder_for, framing_for
    from monitor.ingest.files.native_lines import native_line
    from monitor.ingest.files.samples import whole_records
    from monitor.kafka.readers.registry.files import schemas_of

    config = load_config(arguments, secrets=False)
    if arguments.format is not None:
        config = _with_format(config, arguments.format)
    decoder = decoder_for(config, framing_for(config, schemas_of(config)))
    rejections, records = Rejections(), 0
    output = sys.stdout.buffer
    found = whole_records(arguments.files, decoder, rejections, enveloped=arguments.envelope)
    for record in found:
        output.write(native_line(record))
        records += 1
    output.flush()
    _print_counts(records, rejections)
    return 0


def _with_format(config: Config, name: str) -> Config:
    from monitor.config.sections.base.suggestions import did_you_mean
    from monitor.config.sections.ingest.decoding import FormatName

    names = get_args(FormatName)
    if name in names:
        return config.model_copy(update={"format": name})
    known = did_you_mean(name, names) or f", must be one of {', '.join(names)}"
    raise UserError(f"--format: unknown name {name[:80]!r}{known}")


def _print_counts(records: int, rejections: Rejections) -> None:
    """Print the first rejected message of each reason, and the counts on the last line."""
    from monitor.ingest.files.rejections import text

    found = rejections.by_reason()
    for each in found:
        print_error(f"rejected: {text(each)}")
    counts = {
        "records": records,
        "skipped": dict(sorted(rejections.skipped.items())),
        "rejected": {each.reason: each.count for each in found},
    }
    print_error(json.dumps(counts))
