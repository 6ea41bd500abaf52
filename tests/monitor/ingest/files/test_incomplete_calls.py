"""Calls whose parts are in several messages are completed at the end of files."""

from __future__ import annotations

import json
from pathlib import Path

from monitor.config.schema import Config
from monitor.ingest.decode.message import LogMessage
from monitor.ingest.files import Rejections, decoder_for, reader
from monitor.ingest.files.samples import whole_records
from tests.monitor.ingest.decode.encoders import kserve
from tests.monitor.ingest.decode.encoders.call import PLAIN_CALL


def envelope(message: LogMessage) -> str:
    """Return the line of a message with its headers."""
    headers = {name: value.decode() for name, value in message.headers.items()}
    return json.dumps({"headers": headers, "value": message.value.decode()})


def test_parts_are_joined_across_files(tmp_path: Path) -> None:
    """A request and its response in two files are one record; a request alone is counted."""
    request, response = kserve.encode(PLAIN_CALL)
    (tmp_path / "a").write_text(envelope(request))
    (tmp_path / "b").write_text(envelope(response))
    decoder, rejections = decoder_for(Config()), Rejections()
    paths = [tmp_path / "a", tmp_path / "b"]
    [record] = whole_records(paths, decoder, rejections, enveloped=True)
    assert record.request_id == PLAIN_CALL.request_id
    assert (rejections.total, rejections.skipped.total()) == (0, 0)

    rejections = Rejections()
    assert list(whole_records(paths[:1], decoder_for(Config()), rejections, enveloped=True)) == []
    assert sum(rejections.skipped.values()) == 1


def test_batches_end_with_what_was_incomplete(tmp_path: Path) -> None:
    """A backtest counts the parts that found no others."""
    request, _ = kserve.encode(PLAIN_CALL)
    (tmp_path / "a").write_text(envelope(request))
    log_reader = reader(Config())
    log_reader.enveloped = True
    batches = list(log_reader.batches([tmp_path / "a"], lambda size: None))
    assert sum(len(batch.times) for batch in batches) == 0
    assert [kind for kind in log_reader.rejections.skipped if kind.startswith("lost_")] != []
