"""Messages of confluent-kafka's serializers are decoded with the schemas of a registry."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config.sections.kafka.registry import SchemaRegistryConfig
from monitor.errors import UserError
from monitor.ingest.decode.formats import FORMATS
from monitor.ingest.decode.framing import schemas
from monitor.ingest.decode.framing.framing import Framing
from monitor.ingest.decode.framing.schemas import OpenSchema, RegistryUnavailable
from monitor.ingest.decode.inference import ModelNaming
from monitor.ingest.decode.log_decoder import AUTO, LogDecoder
from monitor.ingest.decode.message import LogMessage
from monitor.ingest.decode.native.decoder import NativeDecoder
from monitor.kafka.readers.registry import opener, schema_opener
from monitor.kafka.readers.registry.opener import RegistryOpener
from monitor.records import RejectedRecord
from tests.monitor.ingest.decode.payloads import fuzz
from tests.monitor.kafka.readers.registry.messages import Serializers
from tests.schema_registry import SchemaRegistry

KINDS = ("avro", "json", "protobuf")
each_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def registry() -> Iterator[SchemaRegistry]:
    """A registry without schemas."""
    with SchemaRegistry() as running:
        yield running


def message(serializers: Serializers, kind: str, number: int = 7) -> LogMessage:
    """A record that a serializer wrote."""
    value, headers = getattr(serializers, kind)("logs", number)
    return LogMessage(value, headers, "logs")


def decoder(open_schema: OpenSchema) -> LogDecoder:
    """A decoder of all formats, with schemas."""
    framing = Framing(open_schema=open_schema)
    return LogDecoder(AUTO, NativeDecoder(), FORMATS, ModelNaming(), framing)


def config(registry: SchemaRegistry, **more: object) -> SchemaRegistryConfig:
    """The section of the configuration."""
    return SchemaRegistryConfig.model_validate({"url": registry.url, "timeout_seconds": 2, **more})


def reason(open_schema: OpenSchema, each: LogMessage) -> str:
    """Why a message is rejected."""
    with pytest.raises(RejectedRecord) as caught:
        open_schema(each)
    return str(caught.value.reason)


@each_kind
@pytest.mark.parametrize("headers", [False, True], ids=["prefix", "header"])
def test_a_record_is_read_whatever_wrote_it(
    registry: SchemaRegistry, kind: str, headers: bool
) -> None:
    """All fields survive, in both framings, in a batch as the daemon decodes it."""
    written = message(Serializers(registry.url, headers=headers), kind)
    log_decoder = decoder(RegistryOpener(config(registry)))
    for _ in range(2):
        decoded = log_decoder.many([written.value], lambda _: written)
        assert decoded.rejected == []
        assert len(decoded.fields) == 1
        # JSON whose schema is named in a header is a native record as it is.
        whole = decoded.wholes.get(0, written.value)
        found = log_decoder.whole(whole) if isinstance(whole, bytes) else whole
        assert (found.request_id, found.timestamp, found.model) == ("r7", 7.0, "m")
        assert (found.response, found.finish_reason) == ("Grüße", "stop")
        assert (found.input_tokens, found.cost_usd) == (2**40 + 7, 0.25)


@each_kind
def test_schemas_are_read_once(registry: SchemaRegistry, kind: str) -> None:
    """Further messages, also while the registry is away, need no request."""
    serializers, open_schema = Serializers(registry.url), RegistryOpener(config(registry))
    open_schema(message(serializers, kind))
    before, registry.available = registry.requests, False
    for number in range(20):
        assert b"r%d" % number in open_schema(message(serializers, kind, number))
    assert registry.requests == before


@each_kind
def test_a_registry_that_is_away_rejects_nothing(registry: SchemaRegistry, kind: str) -> None:
    """The message can be decoded once the registry answers."""
    written, open_schema = (
        message(Serializers(registry.url), kind),
        RegistryOpener(config(registry)),
    )
    registry.available = False
    with pytest.raises(RegistryUnavailable):
        open_schema(written)
    registry.available = True
    assert b"r7" in open_schema(written)


def test_a_registry_that_does_not_exist_is_unavailable() -> None:
    """A refused connection is no property of the message."""
    with SchemaRegistry() as registry:
        settings, written = config(registry), message(Serializers(registry.url), "avro")
    with pytest.raises(RegistryUnavailable):
        RegistryOpener(settings)(written)


def test_credentials_are_sent() -> None:
    """With the password the schema is read; a wrong one loses no message."""
    with SchemaRegistry(user="me:secret") as registry:
        written = message(Serializers(registry.url, user="me:secret"), "avro")
        right = config(registry, user="me", password="secret")
        assert b"r7" in RegistryOpener(right)(written)
        with pytest.raises(RegistryUnavailable, match="401"):
            RegistryOpener(config(registry, user="me", password="wrong"))(written)
        assert "secret" not in repr(right) + right.model_dump_json()


def test_an_unknown_schema_is_rejected_and_looked_up_again(registry: SchemaRegistry) -> None:
    """An identifier that is unknown is not looked up for every message, but again later."""
    now = [0.0]
    open_schema = RegistryOpener(config(registry), lambda: now[0])
    framed = LogMessage(
        b"\x00\x00\x00\x00\x01" + message(Serializers(registry.url), "json").value[5:]
    )
    unknown = LogMessage(b"\x00\x00\x00\x00\x63abc")
    assert [reason(open_schema, unknown) for _ in range(3)] == ["unknown_schema"] * 3
    assert registry.requests == 1
    now[0] = opener.UNKNOWN_SECONDS + 1
    assert reason(open_schema, unknown) == "unknown_schema"
    assert registry.requests == 2
    assert b"r7" in open_schema(framed)


@each_kind
def test_a_damaged_value_is_rejected_by_name(registry: SchemaRegistry, kind: str) -> None:
    """A value that does not match its schema is rejected, wherever it is cut."""
    written = message(Serializers(registry.url), kind)
    open_schema = RegistryOpener(config(registry))
    rejected = 0
    for size in range(6, len(written.value)):
        try:
            open_schema(LogMessage(written.value[:size], topic="logs"))
        except RejectedRecord as error:
            rejected += error.reason == "wrong_type"
    assert rejected > len(written.value) // 2


def test_a_damaged_reference_is_rejected(registry: SchemaRegistry) -> None:
    """A header that is no reference gives the reason of an unknown schema."""
    open_schema = RegistryOpener(config(registry))
    for header in (b"", b"\x02abc", b"\x01short", b"\x00\x00"):
        assert reason(open_schema, LogMessage(b"{}", {schemas.HEADER: header})) == "unknown_schema"


@pytest.mark.parametrize("limit", ["MAX_SCHEMAS", "MAX_UNKNOWN"])
def test_caches_are_limited(
    registry: SchemaRegistry, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    """Neither schemas nor unknown identifiers are kept without bound."""
    monkeypatch.setattr(opener, limit, 2)
    open_schema, serializers = RegistryOpener(config(registry)), Serializers(registry.url)
    for kind in (*KINDS, *KINDS):
        open_schema(message(serializers, kind))
    for number in range(100, 110):
        reason(open_schema, LogMessage(b"\x00" + number.to_bytes(4, "big") + b"x"))
    kept = {
        "MAX_SCHEMAS": len(open_schema._deserializers),
        "MAX_UNKNOWN": len(open_schema._unknown),
    }
    assert kept[limit] == 2


def test_messages_with_schemas_are_rejected_without_a_registry(registry: SchemaRegistry) -> None:
    """The reason names the setting that is missing."""
    written = message(Serializers(registry.url), "avro")
    (found,) = decoder(schema_opener(None)).found(written)
    assert isinstance(found, RejectedRecord)
    assert (found.reason, "kafka.schema_registry" in found.detail) == ("unknown_schema", True)


def test_a_missing_extra_is_named(
    registry: SchemaRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the extra, the configuration is refused at the start with what to install."""
    monkeypatch.delitem(sys.modules, "monitor.kafka.readers.registry.opener")
    monkeypatch.setitem(sys.modules, "confluent_kafka.schema_registry", None)
    with pytest.raises(UserError, match="extra schema-registry"):
        schema_opener(config(registry))


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[RegistryOpener, dict[str, bytes]]]:
    """An opener, and the reference to a schema of each kind."""
    with SchemaRegistry() as running:
        serializers = Serializers(running.url)
        values = {kind: message(serializers, kind).value for kind in KINDS}
        yield RegistryOpener(config(running)), values


@fuzz
@given(kind=st.sampled_from(KINDS), rest=st.binary(max_size=200))
def test_arbitrary_bytes_raise_nothing_else(
    shared: tuple[RegistryOpener, dict[str, bytes]], kind: str, rest: bytes
) -> None:
    """Any bytes after a valid reference are content, or are rejected."""
    open_schema, values = shared
    with contextlib.suppress(RejectedRecord):
        assert open_schema(LogMessage(values[kind][:5] + rest, topic="logs"))
