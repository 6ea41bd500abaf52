"""A producer of messages whose header names are any bytes, as C, Go and Rust clients send them."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Self

import confluent_kafka

FLUSH_MS = 60_000
TOPIC, PARTITION, VALUE, HEADERS, END = 1, 3, 4, 10, 0
"""Tags of the arguments of rd_kafka_producev."""


class RawProducer:
    """Uses the C API of librdkafka: the Python client encodes header names as UTF-8."""

    def __init__(self, bootstrap: str) -> None:
        folder = Path(confluent_kafka.__file__).parent.with_name("confluent_kafka.libs")
        self._library = ctypes.CDLL(str(next(folder.glob("librdkafka*.so*"))))
        for function in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_headers_new"):
            getattr(self._library, function).restype = ctypes.c_void_p
        conf, text = (
            ctypes.c_void_p(self._library.rd_kafka_conf_new()),
            ctypes.create_string_buffer(512),
        )
        for name, value in ((b"bootstrap.servers", bootstrap.encode()), (b"log_level", b"2")):
            assert self._library.rd_kafka_conf_set(conf, name, value, text, 512) == 0
        self._client = ctypes.c_void_p(self._library.rd_kafka_new(0, conf, text, 512))

    def __enter__(self) -> Self:
        """Return the producer."""
        return self

    def __exit__(self, *_: object) -> None:
        """Deliver all messages."""
        self.flush()
        self._library.rd_kafka_destroy(self._client)

    def produce(self, topic: str, value: bytes, name: bytes, partition: int = 0) -> None:
        """Produce a message with one header of this name."""
        pairs = ctypes.c_void_p(self._library.rd_kafka_headers_new(ctypes.c_size_t(1)))
        size = ctypes.c_ssize_t
        self._library.rd_kafka_header_add(pairs, name, size(len(name)), b"v", size(1))
        error = self._library.rd_kafka_producev(
            self._client,
            ctypes.c_int(TOPIC),
            ctypes.c_char_p(topic.encode()),
            ctypes.c_int(PARTITION),
            ctypes.c_int32(partition),
            ctypes.c_int(VALUE),
            ctypes.c_char_p(value),
            ctypes.c_size_t(len(value)),
            ctypes.c_int(HEADERS),
            pairs,
            ctypes.c_int(END),
        )
        assert error == 0, error

    def flush(self) -> None:
        """Wait until the broker has acknowledged all messages."""
        assert self._library.rd_kafka_flush(self._client, FLUSH_MS) == 0
