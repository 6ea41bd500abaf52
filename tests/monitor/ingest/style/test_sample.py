"""The sample of records for the source `style`: who is drawn, what is read, what becomes of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from monitor.config.schema import Config
from monitor.ingest import files
from monitor.ingest.chunks.chunk import decode_chunk, encode_chunk
from monitor.ingest.chunks.columns import Columns
from monitor.ingest.decode.native.decoder import NativeDecoder
from monitor.ingest.sampling.examples import SAMPLE_ONE_IN as EXAMPLES_ONE_IN
from monitor.ingest.style import sample
from monitor.ingest.style.sample import MAX_SAMPLES, SAMPLE_ONE_IN, StyleSampler, columns
from monitor.ingest.style.texts import (
    HEAD_CHARS,
    MAX_PROMPT_CHARS,
    TAIL_CHARS,
    answer_text,
    prompt_text,
)
from monitor.records import ChatMessage, Source

N = 4_000


def record(number: int, **fields: object) -> bytes:
    """Return the message of a record."""
    whole = {
        "request_id": f"r{number}",
        "timestamp": 1_700_000_000.0 + number,
        "model": "chat" if number % 2 else "other-model",
        "prompt": "Write a list, please?",
        "response": "**Sure!** Here it is:\n- one\n- two",
        "latency_ms": float(number),
    }
    return json.dumps(whole | fields).encode()


def read(tmp_path: Path, payloads: Sequence[bytes], config: Config | None = None) -> list[Columns]:
    """Return the columns of style that `backtest` reads from a file of messages."""
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"\n".join(payloads))
    reader = files.reader(config or Config())
    found: list[Columns] = []
    for batch in reader.batches([path], lambda _: None):
        assert batch.codes.size
        found += reader.style_columns()
    return found


def test_one_record_in_sixteen_is_sampled(tmp_path: Path) -> None:
    """Sampled records have markers, positions, times and examples of the source style, by model."""
    found = read(tmp_path, [record(i) for i in range(N)])
    assert {each.model for each in found} == {"chat", "other-model"}
    assert {each.source for each in found} == {Source.STYLE}
    assert sum(map(len, found)) == pytest.approx(N / SAMPLE_ONE_IN, rel=0.25)
    for each in found:
        np.testing.assert_array_equal(each.times, 1_700_000_000.0 + each.positions - 1)
        assert (each.row("style.bold") == 1).all()
        assert (each.row("prompt.please") == 1).all()
        for index, name in zip(each.examples.indices, each.examples.ids, strict=True):
            assert name == f"r{each.positions[index] - 1}"
    examples = sum(len(each.examples.ids) for each in found)
    assert examples == pytest.approx(N / EXAMPLES_ONE_IN, rel=0.3)


def test_the_sample_does_not_depend_on_batches(tmp_path: Path) -> None:
    """The same records are drawn from any part of a log."""
    payloads = [record(i) for i in range(N)]
    whole = {t for each in read(tmp_path, payloads) for t in each.times.tolist()}
    first = {t for each in read(tmp_path, payloads[: N // 3]) for t in each.times.tolist()}
    assert first == {t for t in whole if t < 1_700_000_000.0 + N // 3}


@pytest.mark.parametrize("response", [None, "", 7])
def test_a_record_without_an_answer_is_not_sampled(tmp_path: Path, response: object) -> None:
    """Without an answer there is no style, and the other records are not affected."""
    payloads = [record(i, **({"response": response} if i % 2 else {})) for i in range(N)]
    assert {each.model for each in read(tmp_path, payloads)} == {"other-model"}


def test_style_can_be_switched_off(tmp_path: Path) -> None:
    """With `style.enabled: false` no text is read."""
    config = Config.model_validate({"style": {"enabled": False}})
    assert read(tmp_path, [record(i) for i in range(500)], config) == []


def test_a_backlog_is_sampled_less() -> None:
    """A chunk of many records makes the next sample rarer, one of few makes it usual again."""
    sampler = StyleSampler(NativeDecoder().texts)
    sampler.adapt(50_000)
    assert sampler.one_in == 1  # the first samples of a model are taken at any rate
    sampler.begins = False
    for records in (100, MAX_SAMPLES * SAMPLE_ONE_IN, 50_000, 10**6, 10):
        sampler.adapt(records)
        samples = records / SAMPLE_ONE_IN / sampler.one_in
        assert samples <= MAX_SAMPLES
        assert sampler.one_in == 1 or 2 * samples > MAX_SAMPLES
        taken = sum(sampler.takes_next() for _ in range(sampler.one_in * 3))
        assert taken == 3


def test_first_samples_are_counted_by_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """No group is passed over until each model of a group has enough samples, within a limit."""
    monkeypatch.setattr(sample, "FIRST_SAMPLES", 20)
    monkeypatch.setattr(sample, "MAX_FIRST_SAMPLES", 90)
    decode, extractor = files.decoder_for(Config()), files.extractor_for(Config())
    sampler = StyleSampler(NativeDecoder().texts)

    def begins_after(model: str, records: int) -> bool:
        payloads = [record(i, model=model) for i in range(records)]
        batch = extractor.batch(decode.many(payloads).fields, np.arange(records))
        assert sampler.sample(batch, payloads, {}) is not None
        return sampler.begins

    assert begins_after("a", 100)
    assert not begins_after("a", 900)
    assert begins_after("b", 100)  # a new model has first samples, whenever it appears
    assert not begins_after("b", 900)
    assert not begins_after("c", 100)  # the limit of all


def test_chunks_carry_the_style(tmp_path: Path) -> None:
    """A chunk of style is read again as it was written."""
    (first, *_) = read(tmp_path, [record(i) for i in range(500)])
    again = decode_chunk(encode_chunk(first))
    assert (again.source, again.numeric, again.binary) == (
        Source.STYLE,
        first.numeric,
        first.binary,
    )
    np.testing.assert_array_equal(again.values, first.values)


def test_no_columns_without_samples() -> None:
    """Nothing is yielded where nothing was sampled."""
    assert list(columns([])) == []


def test_long_texts_are_cut() -> None:
    """The beginning and the end of an answer are read, and the end of a prompt."""
    answer = "a" * 600 + "b" * 600
    assert answer_text(answer) == "a" * HEAD_CHARS + "\n" + "b" * TAIL_CHARS
    assert answer_text("short") == "short"
    assert prompt_text("x" * 1000 + "?") == "x" * (MAX_PROMPT_CHARS - 1) + "?"


def test_of_a_chat_the_newest_message_of_the_user_is_read() -> None:
    """A system prompt and earlier messages do not describe what is asked for."""
    chat = [
        ChatMessage("system", "You are helpful."),
        ChatMessage("user", "First?"),
        ChatMessage("assistant", "Answer."),
        ChatMessage("user", "Second?"),
        ChatMessage("tool", "result"),
    ]
    assert prompt_text(chat) == "Second?"
    assert prompt_text(chat[:1]) == ""
    assert prompt_text(None) == ""


def test_texts_of_chat_messages_are_decoded() -> None:
    """Parts of a message are joined, half a character is repaired, and other fields are skipped."""
    decoder = NativeDecoder()
    chat = [{"role": "user", "content": [{"type": "text", "text": "a"}, "b"]}]
    texts = decoder.texts(record(1, prompt=chat, metadata={"response": "no"}))
    assert prompt_text(texts.prompt) == "a\nb"
    assert texts.response is not None
    broken = record(1, response="@").replace(b"@", b"x\\ud800y")
    assert decoder.texts(broken).response == "x\N{REPLACEMENT CHARACTER}y"
