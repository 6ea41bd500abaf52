"""The section `web`: the web application for people."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final, Literal

from pydantic import Field, ValidationInfo, field_validator

from monitor.config.sections.base.fields import (
    LegalName,
    ListenHost,
    NonEmpty,
    NonEmptyPath,
    UniqueTuple,
)
from monitor.config.sections.base.section import Section, invalid
from monitor.config.sections.process.review import ReviewQueueConfig
from monitor.config.sections.process.sign_in import ProxyConfig

_ALL_ADDRESSES: Final = frozenset({"0.0.0.0", "::"})
"""Hosts that stand for all addresses of a machine."""


def is_loopback(host: str) -> bool:
    """Return whether only this machine can connect to an address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def share_an_address(hosts: tuple[str, str]) -> bool:
    """Return whether two servers that listen on these hosts need different ports."""
    first, second = ("127.0.0.1" if host == "localhost" else host.lower() for host in hosts)
    return first == second or not {first, second}.isdisjoint(_ALL_ADDRESSES)


class WebConfig(Section):
    """Web application: review of responses, results and decisions."""

    enabled: bool = Field(default=False, description="Whether the role `web` runs.")
    host: ListenHost = Field(
        default="127.0.0.1",
        description="Address to listen on. Other addresses than loopback need `sign_in: required`.",
    )
    port: int = Field(
        default=9465, ge=0, le=65535, description="TCP port to listen on. 0 selects any free port."
    )
    allowed_hosts: UniqueTuple[NonEmpty] = Field(
        default=(),
        description="Names under which people reach the application, as in review.example.com."
        " Requests for other hosts are refused. Loopback addresses are always allowed on loopback.",
    )
    sign_in: Literal["local", "required"] = Field(
        default="local",
        description="`local`: everyone who reaches the loopback address is the one local admin."
        " `required`: a bearer token, or the header of the proxy.",
    )
    evaluation_sets: NonEmptyPath | None = Field(
        default=None,
        description="Folder of evaluation sets, that of `plumbline evalset`. Admins add reviewed"
        " responses to it from the pages. Without it, there are no such buttons.",
    )
    proxy: ProxyConfig | None = Field(default=None, description=ProxyConfig.__doc__)
    queues: dict[LegalName, ReviewQueueConfig] = Field(
        default={},
        description="Review queues by name. Texts of samples are stored only if there is one.",
    )

    @field_validator("sign_in")
    @classmethod
    def _check_sign_in(cls, sign_in: str, info: ValidationInfo) -> str:
        host = info.data.get("host")
        if sign_in == "local" and host is not None and not is_loopback(host):
            raise invalid(
                f"the address {host} is open to other machines, so set web.sign_in to required",
                "web.sign_in",
                "web.host",
            )
        return sign_in

    @field_validator("proxy")
    @classmethod
    def _check_proxy(cls, proxy: ProxyConfig | None, info: ValidationInfo) -> ProxyConfig | None:
        if proxy is not None and info.data.get("sign_in") == "local":
            raise invalid("a proxy needs web.sign_in: required", "web.sign_in", "web.proxy")
        return proxy

    @property
    def review(self) -> bool:
        """Whether samples are reviewed."""
        return self.enabled and bool(self.queues)
