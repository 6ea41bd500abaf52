"""Wrong values are refused with a sentence that says what to mend."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import helm_python
import pytest

from helm.build import CHART
from monitor.config_client import is_secret
from tests.helm.render import merged, render, values_of

TRIAL = values_of(CHART / "ci" / "trial-values.yaml")
BROKERS = TRIAL["config"]["kafka"]
FREE_FORM = {"global", "nodeAffinity", "podAffinity", "podAntiAffinity"}
"""Objects that are Helm's or Kubernetes' to describe."""


def refusal(values: Mapping[str, Any]) -> str:
    """What Helm says instead of installing."""
    with pytest.raises(helm_python.HelmError) as refused:
        render(merged(TRIAL, values))
    return str(refused.value)


def client(**settings: Any) -> dict[str, Any]:
    """Values with settings of the Kafka client; a double underscore is a dot."""
    return {"config": {"kafka": {"client": {k.replace("__", "."): v for k, v in settings.items()}}}}


def kafka(**keys: Any) -> dict[str, Any]:
    """Values with keys of config.kafka."""
    return {"config": {"kafka": keys}}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"image": {"repository": ""}}, "image.repository is empty: build the image, push it"),
        (kafka(bootstrap_servers=""), "bootstrap_servers is empty: give your brokers"),
        (kafka(bootstrap_servers=" "), "bootstrap_servers is empty: give your brokers"),
        (kafka(bootstrap_servers="a:1,,b:2"), "remove the comma"),
        (kafka(bootstrap_servers="a:1,localhost:9092"), "within a pod is the pod itself"),
        (kafka(bootstrap_servers="[::1]:9092"), "within a pod is the pod itself"),
        (
            {"pods": {"together": {"replicas": 7}}},
            "pods.together.replicas is 7, but config.kafka.partitions is 6: more pods than"
            " partitions find no work, so lower the first or raise the second",
        ),
        (
            {"mode": "split", "pods": {"detect": {"replicas": 9}}},
            "pods.detect.replicas is 9, but config.kafka.partitions is 6",
        ),
        (
            {"mode": "split", "logPartitions": 3, "pods": {"ingest": {"replicas": 4}}},
            "pods.ingest.replicas is 4, but logPartitions is 3",
        ),
        (
            {"autoscaling": {"enabled": True, "minReplicas": 7}},
            "autoscaling.minReplicas is 7, but config.kafka.partitions is 6",
        ),
        (
            {"mode": "split", "autoscaling": {"enabled": True}},
            "logPartitions is not given, beyond which pods find no work: set it",
        ),
        (
            {"autoscaling": {"enabled": True}, **client(security__protocol="SASL_SSL")},
            "name a TriggerAuthentication in autoscaling.authenticationRef",
        ),
        (
            {"credentials": {"existingSecret": "a", "inline": {"sasl.password": "x"}}},
            "credentials.existingSecret and credentials.inline are both given: keep existingSecret",
        ),
        (
            {"credentials": {"keys": {"sasl.password": "password"}}},
            "credentials.keys is given without a Secret",
        ),
        (
            {
                "credentials": {"inline": {"sasl.username": "x"}},
                **client(sasl__username="y"),
            },
            "sasl.username is given both in config.kafka.client and in credentials",
        ),
        (
            {
                "config": {"reference": {"source": "named", "name": "a"}},
            },
            "no volume holds references: name a PersistentVolumeClaim",
        ),
        (
            {
                "config": {"reference": {"source": "file", "path": "logs.jsonl"}},
                "references": {"existingClaim": "a"},
            },
            "config.reference.path is outside the mounted volume: set a path that begins with",
        ),
        (
            {
                "config": {"reference": {"source": "named", "name": "a"}},
                "references": {"existingClaim": "a"},
            },
            "config.reference.directory is outside the mounted volume",
        ),
        (
            {"monitoring": {"podMonitor": {"enabled": True}, "serviceMonitor": {"enabled": True}}},
            "counted twice: disable one of them",
        ),
        ({"config": {"http": {"host": "127.0.0.1"}}}, "set 0.0.0.0, or :: on IPv6"),
        ({"config": {"http": {"port": 0}}}, "set a fixed one, for instance 9464"),
        ({"terminationGracePeriodSeconds": 30}, "set 150 or more"),
        ({"podSecurity": {"runAsUser": 0}}, "which is root: give another user"),
    ],
    ids=lambda case: case[:40] if isinstance(case, str) else None,
)
def test_what_cannot_work_is_refused(values: dict[str, Any], said: str) -> None:
    """Values that a schema lets through but that cannot work are refused, with what to mend."""
    assert said in refusal(values)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"replicaCount": 3}, "additional properties 'replicaCount' not allowed"),
        (
            {"pods": {"detect": {"replica": 3}}},
            "at '/pods/detect': additional properties 'replica'",
        ),
        ({"pods": {"judge": {}}}, "at '/pods': additional properties 'judge' not allowed"),
        (kafka(bootstrapServers="a:1"), "at '/config/kafka': additional properties"),
        ({"config": {"windows": {"records": 1}}}, "at '/config/windows/records': minimum"),
        ({"config": {"http": None}}, "at '/config': missing property 'http'"),
        (kafka(bootstrap_servers=None), "missing property 'bootstrap_servers'"),
        ({"mode": "both"}, "value must be one of 'together', 'split'"),
        ({"workload": "DaemonSet"}, "value must be one of 'Deployment', 'StatefulSet'"),
        ({"image": {"digest": "latest"}}, "at '/image/digest'"),
        ({"pods": {"together": {"replicas": "2"}}}, "got string, want integer"),
        ({"pods": {"together": {"replicas": 0}}}, "minimum: got 0, want 1"),
        ({"monitoring": {"podMonitor": {"interval": "fast"}}}, "'fast' does not match pattern"),
    ],
    ids=lambda case: case[:40] if isinstance(case, str) else None,
)
def test_what_is_not_known_is_refused(values: dict[str, Any], said: str) -> None:
    """Unknown keys and values of a wrong form are refused by the schema, with their place."""
    assert said in refusal(values)


@pytest.mark.parametrize(
    "setting",
    [
        "sasl.password",
        "ssl.key.password",
        "ssl.key.pem",
        "ssl.keystore.password",
        "sasl.oauthbearer.client.secret",
        "sasl.oauthbearer.config",
        "sasl.jaas.config",
        "ssl_key",
        "sasl.username",
        "ssl.ca.location",
        "security.protocol",
        "client.id",
    ],
)
def test_secrets_stay_out_of_the_configmap(setting: str) -> None:
    """The chart takes for a secret what the daemon does, and never repeats its value."""
    values = {"config": {"kafka": {"client": {setting: "hush-hush"}}}}
    if is_secret(setting):
        said = refusal(values)
        assert f"config.kafka.client.{setting} is a secret" in said
        assert "hush-hush" not in said
    else:
        render(merged(TRIAL, values))


def objects(schema: Any, name: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object that a schema describes, with the key that it stands under."""
    if isinstance(schema, list):
        for each in schema:
            yield from objects(each, name)
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield name, schema
        for key, each in schema.items():
            yield from objects(each, key)


def test_schema_is_closed() -> None:
    """No object takes keys that are not described, but those that Helm and Kubernetes describe."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    found = list(objects(schema))
    assert len(found) > 30
    open_ones = {name for name, each in found if each.get("additionalProperties", True) is True}
    assert open_ones == FREE_FORM
