"""Protobuf messages whose classes are made from schemas in the registry."""

from __future__ import annotations

import base64
import importlib
from collections.abc import Sequence
from typing import Any, Final

from confluent_kafka.schema_registry import SchemaRegistryClient, dual_schema_id_deserializer
from confluent_kafka.schema_registry.serde import SchemaId
from confluent_kafka.serialization import SerializationContext
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

_MAIN: Final = "main.proto"
_MAX_FILES: Final = 1_000
"""Files that one schema may import, directly or not."""


class MessageTypes:
    """The message classes of one schema.

    key: identifier of the schema. Raises what the client raises if a schema cannot be read.
    """

    def __init__(self, registry: SchemaRegistryClient, key: int | str) -> None:
        if isinstance(key, int):
            schema = registry.get_schema(key, fmt="serialized")
        else:
            schema = registry.get_schema_by_guid(key, fmt="serialized")
        self._pool = descriptor_pool.DescriptorPool()
        self._files: set[str] = set()
        self._registry = registry
        self._add(schema, _MAIN)
        self._kinds: dict[tuple[int, ...], type[Message]] = {}

    def of(self, value: bytes, context: SerializationContext) -> type[Message]:
        """Return the class of a message. Raises an error if the message names none."""
        found = SchemaId("PROTOBUF")
        dual_schema_id_deserializer(value, context, found)
        path = tuple(found.message_indexes or (0,))
        if path not in self._kinds:
            self._kinds[path] = message_factory.GetMessageClass(self._descriptor(path))
        return self._kinds[path]

    def _descriptor(self, path: Sequence[int]) -> Descriptor:
        file = self._pool.FindFileByName(_MAIN)
        found = list(file.message_types_by_name.values())[path[0]]
        for index in path[1:]:
            found = found.nested_types[index]
        return found

    def _add(self, schema: Any, name: str) -> None:
        """Add a file and what it imports to the pool."""
        if name in self._files or len(self._files) >= _MAX_FILES:
            return
        self._files.add(name)
        for reference in schema.references or []:
            imported = self._registry.get_version(
                reference.subject, reference.version, fmt="serialized"
            )
            self._add(imported.schema, reference.name)
        file = descriptor_pb2.FileDescriptorProto()
        file.ParseFromString(base64.standard_b64decode(schema.schema_str))
        file.name = name
        for dependency in file.dependency:
            self._add_known(dependency)
        self._pool.Add(file)

    def _add_known(self, name: str) -> None:
        """Add a file of Google's or Confluent's common types that is not in the registry."""
        if name in self._files:
            return
        self._files.add(name)
        module = name.removesuffix(".proto").replace("/", ".") + "_pb2"
        if name.startswith("confluent/"):
            module = f"confluent_kafka.schema_registry.{module}"
        elif not name.startswith("google/"):
            raise ValueError(f"the schema imports {name}, which it does not reference")
        file = descriptor_pb2.FileDescriptorProto()
        file.ParseFromString(importlib.import_module(module).DESCRIPTOR.serialized_pb)
        for dependency in file.dependency:
            self._add_known(dependency)
        self._pool.Add(file)


def fields_of(message: Any) -> Any:
    """Return the fields of a message that are set, by their names in the schema.

    Numbers stay numbers, unlike in Protobuf's JSON, whose 64-bit integers are texts.
    """
    if message.DESCRIPTOR.full_name.startswith("google.protobuf."):
        return json_format.MessageToDict(message)
    return {field.name: _value(field, value) for field, value in message.ListFields()}


def _value(field: FieldDescriptor, value: Any) -> Any:
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        inner = kind.fields_by_name["value"]
        return {str(key): _single(inner, each) for key, each in value.items()}
    if field.is_repeated:
        return [_single(field, each) for each in value]
    return _single(field, value)


def _single(field: FieldDescriptor, value: Any) -> Any:
    if field.message_type is not None:
        return fields_of(value)
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return value if known is None else known.name
    return value
