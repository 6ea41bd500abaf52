"""The log formats besides the native one, in the order in which they are tried."""

from __future__ import annotations

from typing import Final

from monitor.ingest.decode.formats.clouds import bedrock, databricks, kserve
from monitor.ingest.decode.formats.clouds.azure import format as azure
from monitor.ingest.decode.formats.envelope import ANTHROPIC, OPENAI, Envelope
from monitor.ingest.decode.formats.gateways import apisix, bifrost, envoy, kong, litellm
from monitor.ingest.decode.formats.otlp.otlp import OTLP
from monitor.ingest.decode.message import Format

FORMATS: Final[dict[str, Format]] = {
    "kserve": kserve,  # by its headers, whatever the body is
    "otlp": OTLP,
    "litellm": litellm,
    "kong": kong,
    "azure": azure,
    "apisix": apisix,
    "envoy": envoy,
    "bedrock": bedrock,
    "bifrost": bifrost,
    "databricks": databricks,
    OPENAI: Envelope(OPENAI),
    ANTHROPIC: Envelope(ANTHROPIC),
}
"""Name in the configuration -> format. The first one that recognizes a message decodes it."""
