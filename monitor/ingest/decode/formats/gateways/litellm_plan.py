"""The usual payloads of LiteLLM: successful chat completions with a text or calls of tools."""

from __future__ import annotations

from typing import Final

from monitor.ingest.decode.native.plans.plan import FLAG, NOTHING, Kind, Place, Plan

TEXT: Final = NOTHING | Kind.TEXT
NUMBER: Final = NOTHING | Kind.NUMBER
OBJECT: Final = NOTHING | Kind.OBJECT


def usual_payload(call_types: frozenset[str], health_check: str) -> Plan:
    """Return the plan.

    call_types: those of calls of a language model, without the `a` of async ones. health_check: tag
    of calls that are none.
    """
    plan = Plan()
    plan.at("call_type", usual=TEXT, one_of=[*call_types, *(f"a{each}" for each in call_types)])
    plan.at("status", usual=Kind.TEXT, none_of=["failure"])
    plan.at("request_tags", without=[health_check])
    plan.identifier("request_id", plan.at("id", usual=Kind.TEXT, none_of=["None"]))
    plan.identifier("model", plan.at("model_group", usual=TEXT), plan.at("model", usual=TEXT))
    _add_times(plan)
    tokens = [
        plan.at("prompt_tokens", usual=NUMBER),
        plan.at("completion_tokens", usual=NUMBER),
    ]
    plan.amount("input_tokens", tokens[0])
    plan.amount("output_tokens", tokens[1])
    plan.amount("cost_usd", plan.at("response_cost", usual=NUMBER))
    for why_zero in ("response_cost_failure_debug_info", "zero_cost_diagnostic"):
        plan.at(why_zero, usual=NOTHING)
    plan.prompt("prompt", plan.at("messages", usual=NOTHING | Kind.LIST))
    _add_response(plan, tokens)
    _add_owner(plan)
    return plan


def _add_times(plan: Plan) -> None:
    start = plan.at("startTime", usual=Kind.NUMBER, marks=True)
    end = plan.at("endTime", usual=Kind.NUMBER, marks=True)
    first = plan.at("completionStartTime", usual=Kind.NULL | Kind.NUMBER, marks=True)
    plan.time("timestamp", start)
    plan.elapsed("latency_ms", start, end)
    plan.elapsed("time_to_first_token_ms", start, first, plan.at("stream", usual=FLAG))


def _add_response(plan: Plan, tokens: list[Place]) -> None:
    plan.at("response", usual=Kind.OBJECT)
    plan.at("response", "choices", usual=Kind.LIST)
    plan.at("response", "choices", 0, usual=Kind.OBJECT)
    for other in ("type", "modelVersion"):
        plan.at("response", other, usual=NOTHING)
    plan.text("responded_model", plan.at("response", "model", usual=TEXT))
    choice = ("response", "choices", 0)
    plan.finish_reason("finish_reason", plan.at(*choice, "finish_reason", usual=TEXT))
    plan.at(*choice, "stop_reason", usual=NOTHING)
    message = (*choice, "message")
    plan.at(*message, usual=Kind.OBJECT)
    for other in ("refusal", "parts"):
        plan.at(*message, other, usual=NOTHING)
    content = plan.at(*message, "content", usual=TEXT)
    plan.answer("response", content, plan.at(*message, "tool_calls"), *tokens)


def _add_owner(plan: Plan) -> None:
    """Add who made the call, and what the client or the proxy states about it."""
    plan.at("metadata", usual=OBJECT)

    def detail(name: str, usual: Kind) -> Place:
        return plan.at("metadata", name, usual=usual)

    users = [detail(name, TEXT) for name in ("user_api_key_end_user_id", "user_api_key_user_id")]
    plan.text("user_id", plan.at("end_user", usual=TEXT), *users)
    plan.text("session_id", plan.at("session_id", usual=TEXT))
    plan.text("trace_id", plan.at("trace_id", usual=TEXT))
    objects = [detail(name, OBJECT) for name in ("spend_logs_metadata", "requester_metadata")]
    plan.metadata(
        "metadata",
        objects,
        {
            "cache_hit": plan.at("cache_hit", usual=FLAG),
            "provider": plan.at("custom_llm_provider", usual=TEXT),
            "key_alias": detail("user_api_key_alias", TEXT),
            "team_alias": detail("user_api_key_team_alias", TEXT),
        },
    )
