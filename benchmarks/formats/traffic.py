"""The records of the throughput benchmark as messages of log formats."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from benchmarks.formats import otlp
from benchmarks.throughput.consumers import JSON_LOADS, UPB

Record = Mapping[str, Any]


def litellm(record: Record) -> bytes:
    """Return a payload of LiteLLM 1.110 for a record, with the static parts that it has.

    Two thirds of a payload of a known model are its entry in LiteLLM's price list.
    """
    start, latency = record["timestamp"], record.get("latency_ms") or 0.0
    first = record.get("time_to_first_token_ms")
    failed = bool(record.get("error"))
    tokens = [record.get("input_tokens") or 0, record.get("output_tokens") or 0]
    message = {"content": record.get("response"), "role": "assistant", "tool_calls": None}
    usage = {
        "completion_tokens": tokens[1],
        "prompt_tokens": tokens[0],
        "total_tokens": sum(tokens),
        "completion_tokens_details": {"reasoning_tokens": 0, "text_tokens": tokens[1]},
        "prompt_tokens_details": {"cached_tokens": 0, "text_tokens": None},
    }
    response = {
        "id": record["request_id"],
        "created": int(start),
        "model": record["model"],
        "object": "chat.completion",
        "system_fingerprint": "fp_50cad350e4",
        "choices": [{"finish_reason": record.get("finish_reason"), "index": 0, "message": message}],
        "usage": usage,
    }
    prompt = record.get("prompt")
    found = {
        "id": record["request_id"],
        "litellm_call_id": record["request_id"],
        "trace_id": record["request_id"],
        "session_id": "",
        "call_type": "acompletion",
        "cache_hit": None,
        "stream": True if first is not None else None,
        "status": "failure" if failed else "success",
        "status_fields": {"llm_api_status": "success", "guardrail_status": "not_run"},
        "custom_llm_provider": "openai",
        "saved_cache_cost": 0.0,
        "startTime": start,
        "endTime": start + latency / 1000,
        "completionStartTime": start + (latency if first is None else first) / 1000,
        "response_time": latency / 1000,
        "model": record["model"],
        "metadata": dict.fromkeys(_METADATA) | {"requester_metadata": {"route": "search"}},
        "cache_key": None,
        "response_cost": record.get("cost_usd") or 0.0,
        "cost_breakdown": {"input_cost": 0.0001, "output_cost": 0.0002, "total_cost": 0.0003},
        "total_tokens": sum(tokens),
        "prompt_tokens": tokens[0],
        "completion_tokens": tokens[1],
        "request_tags": ["User-Agent: OpenAI/Python 1.99.0"],
        "end_user": record.get("user_id"),
        "api_base": "https://api.example.com",
        "model_group": record["model"],
        "model_id": "8f2d6a7c0b1e",
        "requester_ip_address": "10.0.0.7",
        "messages": [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt,
        "response": {} if failed else response,
        "error_str": "litellm.RateLimitError: too many requests" if failed else None,
        "error_information": {"error_code": "", "error_class": record.get("error") or ""},
        "response_cost_failure_debug_info": None,
        "model_parameters": {"temperature": 0.2, "max_tokens": 1000},
        "hidden_params": dict.fromkeys(_HIDDEN),
        "model_map_information": {"model_map_key": record["model"], "model_map_value": _PRICES},
        "guardrail_information": None,
    }
    return json.dumps(found).encode()


_METADATA: Final = (
    *("user_api_key_hash", "user_api_key_alias", "user_api_key_spend", "user_api_key_max_budget"),
    *("user_api_key_team_id", "user_api_key_org_id", "user_api_key_user_id", "spend_logs_metadata"),
    *("user_api_key_team_alias", "user_api_key_end_user_id", "user_api_key_request_route"),
    *("requester_ip_address", "requester_metadata", "prompt_management_metadata"),
    *("mcp_tool_call_metadata", "vector_store_request_metadata", "applied_guardrails"),
)
_PRICES: Final = {
    "key": "gpt-4o-2024-08-06",
    "max_tokens": 16384,
    "max_input_tokens": 128000,
    "input_cost_per_token": 2.5e-06,
    "output_cost_per_token": 1e-05,
    "litellm_provider": "openai",
    "mode": "chat",
    **dict.fromkeys((f"supports_feature_{number}" for number in range(16)), True),
    **dict.fromkeys((f"input_cost_per_token_above_{n}k_tokens" for n in range(159)), None),
}
"""An entry of the price list: 182 keys, 159 of them null, as LiteLLM 1.110.2 writes for gpt-4o."""
_HIDDEN: Final = (
    *("model_id", "cache_key", "api_base", "response_cost", "litellm_overhead_time_ms"),
    *("additional_headers", "batch_models", "litellm_model_name", "usage_object"),
)


@dataclass(frozen=True, slots=True)
class Traffic:
    """Messages of a format.

    write: returns the message of some records. per_message: their number. base: mode of the loop
    that the daemon is compared with.
    """

    write: Callable[[Sequence[Record]], bytes]
    per_message: int = 1
    base: str = JSON_LOADS


TRAFFIC: Final = {
    "native": Traffic(lambda records: json.dumps(records[0]).encode()),
    "litellm": Traffic(lambda records: litellm(records[0])),
    "otlp_json": Traffic(otlp.in_json, otlp.SPANS),
    "otlp_protobuf": Traffic(otlp.in_protobuf, otlp.SPANS, UPB),
}
"""By the name of the format and its encoding."""


def messages(traffic: Traffic, lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the messages of native records in a format."""
    records = map(json.loads, lines)
    while group := list(islice(records, traffic.per_message)):
        yield traffic.write(group)
