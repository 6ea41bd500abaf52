"""Tests that the chart rejects, with a sentence, the values that an API server rejects."""

from __future__ import annotations

from typing import Any

import helm_python
import pytest

from helm.build import CHART
from tests.helm.render import Manifest, manifests, merged, of_kind, render, values_of
from tests.helm.test_chart import check

TRIAL = values_of(CHART / "ci" / "trial-values.yaml")
KAFKA = TRIAL["config"]["kafka"]


def error(values: dict[str, Any], release: str = "demo") -> str:
    """Return the sentence of the error of a render with these values."""
    with pytest.raises(helm_python.HelmError) as raised:
        render(merged(TRIAL, values), release=release)
    message = str(raised.value)
    assert "execution error at" in message, "reported by the schema, not by a check"
    return message.partition("): ")[2]


def accepted(values: dict[str, Any], release: str = "demo") -> list[Manifest]:
    """Return the manifests of a render with these values, all of them valid."""
    found = manifests(merged(TRIAL, values), release=release)
    for manifest in found:
        check(manifest)
    return found


def pod(values: dict[str, Any]) -> Manifest:
    """Return the pod spec of the only workload."""
    [workload] = of_kind(accepted(values), "Deployment", "StatefulSet")
    spec: Manifest = workload["spec"]["template"]["spec"]
    return spec


def together(**keys: Any) -> dict[str, Any]:
    """Return values of the pods."""
    return {"pods": {"together": keys}}


def resources(requests: dict[str, Any], limits: dict[str, Any]) -> dict[str, Any]:
    """Return values with these resources, without the memory limit of the defaults."""
    return together(resources={"requests": requests, "limits": {"memory": None, **limits}})


def policy(**keys: Any) -> dict[str, Any]:
    """Return values of the NetworkPolicy."""
    return {"networkPolicy": keys}


def egress(*peers: dict[str, Any]) -> dict[str, Any]:
    """Return values with a rule to these peers."""
    return policy(extraEgress=[{"to": list(peers)}])


def ports(*given: dict[str, Any]) -> dict[str, Any]:
    """Return values with a rule for these ports."""
    return policy(extraEgress=[{"ports": list(given)}])


def block(cidr: str, *parts: str) -> dict[str, Any]:
    """Return values with an address block as the brokers."""
    return policy(kafkaTo=[{"ipBlock": {"cidr": cidr, **({"except": parts} if parts else {})}}])


def brokers(servers: str) -> dict[str, Any]:
    """Return values with these brokers."""
    return {"config": {"kafka": {"bootstrap_servers": servers}}}


def one(expression: dict[str, Any]) -> dict[str, Any]:
    """Return values with an expression of a label selector."""
    return egress({"podSelector": {"matchExpressions": [expression]}})


def instance(**over: Any) -> dict[str, Any]:
    """Return values with kafka.instance and others."""
    return merged({"config": {"kafka": {"instance": "a"}}}, over)


NAMES = [
    ({"fullnameOverride": "drift.watch"}, 'fullnameOverride is "drift.watch": use at most 40'),
    ({"fullnameOverride": "9lives"}, "with a letter first"),
    ({"fullnameOverride": "Drift"}, "lower-case letters"),
    ({"fullnameOverride": "drift_watch"}, "lower-case letters, digits and hyphens"),
    ({"fullnameOverride": "-drift"}, "with a letter first"),
    ({"fullnameOverride": "drift-"}, "no hyphen last"),
    ({"fullnameOverride": "a" * 41}, "use at most 40"),
    ({"fullnameOverride": "drift\n"}, 'fullnameOverride is "drift\\n"'),
    ({"nameOverride": "v1.2"}, 'nameOverride is "v1.2": use at most 40'),
    ({"nameOverride": "2nd"}, "with a letter first"),
    ({"nameOverride": "Watch"}, "lower-case letters"),
    ({"nameOverride": "a" * 64}, "use at most 40"),
    ({"image": {"repository": "https://registry.example.com/p"}}, "without https://"),
    ({"image": {"repository": "r/p:1.0"}}, "belong into image.tag"),
    ({"image": {"repository": "r/p@sha256:00"}}, "belong into image.tag"),
    ({"image": {"repository": " r/p"}}, 'image.repository is " r/p"'),
    ({"image": {"repository": "r/Plumbline"}}, 'image.repository is "r/Plumbline"'),
    ({"image": {"tag": "a b"}}, 'image.tag is "a b": use at most 128'),
    ({"image": {"digest": "latest"}}, "use sha256 and a colon"),
    ({"image": {"pullSecrets": ["Registry"]}}, 'image.pullSecrets[0] is "Registry"'),
    ({"image": {"pullSecrets": ["a", "a"]}}, 'image.pullSecrets contains "a" twice'),
    ({"serviceAccount": {"name": "a_b"}}, "serviceAccount.name"),
    ({"serviceAccount": {"name": "default"}}, "exists in every namespace"),
    ({"credentials": {"existingSecret": "A"}}, 'credentials.existingSecret is "A": use the name'),
    ({"credentials": {"existingSecret": "a..b"}}, "letter or digit first and last and beside"),
    ({"credentials": {"environmentSecret": "a.-b"}}, "credentials.environmentSecret"),
    ({"credentials": {"environmentSecret": "a" * 254}}, "credentials.environmentSecret"),
    ({"references": {"existingClaim": "a/b"}}, 'references.existingClaim is "a/b"'),
    ({"autoscaling": {"authenticationRef": "-a"}}, "autoscaling.authenticationRef"),
    (together(priorityClassName="High"), 'pods.together.priorityClassName is "High"'),
    (together(runtimeClassName="a b"), 'pods.together.runtimeClassName is "a b"'),
    ({"credentials": {"inline": {"sasl password": "x"}}}, "a setting in credentials.inline is"),
    ({"credentials": {"inline": {"sasl/password": "x"}}}, "use a key of a Secret or ConfigMap"),
    ({"credentials": {"inline": {"": "x"}}}, 'credentials.inline is ""'),
    ({"credentials": {"inline": {"..": "x"}}}, 'credentials.inline is ".."'),
    ({"credentials": {"inline": {"é": "x"}}}, 'credentials.inline is "é"'),
    (
        {"credentials": {"existingSecret": "a", "keys": {"sasl.password": "../b"}}},
        'credentials.keys, setting sasl.password, is "../b"',
    ),
    (
        {"monitoring": {"podMonitor": {"interval": "fast"}}},
        'monitoring.podMonitor.interval is "fast": use a duration such as 15s or 1m',
    ),
    ({"monitoring": {"serviceMonitor": {"interval": ""}}}, "use a duration"),
]

LABELS = [
    (
        {"podLabels": {"app.kubernetes.io/name": "mine"}},
        "podLabels contains app.kubernetes.io/name, which the chart sets itself: remove it",
    ),
    ({"podLabels": {"app.kubernetes.io/instance": "x"}}, "which the chart sets itself"),
    ({"podLabels": {"app.kubernetes.io/component": "x"}}, "which the chart sets itself"),
    ({"podLabels": {"app.kubernetes.io/version": "x"}}, "which the chart sets itself"),
    ({"podLabels": {"team": "a b"}}, 'podLabels, key team, is "a b": use at most 63 letters'),
    ({"podLabels": {"team": "a" * 64}}, "use at most 63 letters"),
    ({"podLabels": {"team": "-a"}}, "with a letter or digit first and last"),
    ({"podLabels": {"my team": "a"}}, 'a key of podLabels is "my team"'),
    ({"podLabels": {"": "a"}}, 'a key of podLabels is ""'),
    ({"podLabels": {"a/b/c": "a"}}, 'a key of podLabels is "a/b/c"'),
    ({"podLabels": {"A.example/b": "a"}}, 'a key of podLabels is "A.example/b"'),
    ({"podLabels": {"a" * 64: "a"}}, "use at most 63 letters"),
    ({"podLabels": {"a" * 254 + "/b": "c"}}, "use at most 63 letters"),
    ({"podAnnotations": {"a": "x" * 262144}}, "podAnnotations is larger than 262144 bytes"),
    (
        {"podAnnotations": {"seccomp.security.alpha.kubernetes.io/pod": "unconfined"}},
        "which is deprecated or reserved for the kubelet: remove it",
    ),
    (
        {"podAnnotations": {"container.apparmor.security.beta.kubernetes.io/a": "x"}},
        "which is deprecated or reserved",
    ),
    ({"podAnnotations": {"kubernetes.io/config.mirror": "x"}}, "reserved for the kubelet"),
    ({"podAnnotations": {"checksum/config": "x"}}, "which the chart sets itself"),
    ({"podAnnotations": {"my note": "x"}}, 'a key of podAnnotations is "my note"'),
    ({"podAnnotations": {"/a": "x"}}, 'a key of podAnnotations is "/a"'),
    ({"serviceAccount": {"annotations": {"a b": "x"}}}, "a key of serviceAccount.annotations is"),
    (
        {"monitoring": {"dashboards": {"labels": {"grafana_dashboard": "0"}}}},
        "monitoring.dashboards.labels contains grafana_dashboard, which the chart sets itself",
    ),
    (
        {"monitoring": {"podMonitor": {"labels": {"helm.sh/chart": "x"}}}},
        "monitoring.podMonitor.labels contains helm.sh/chart",
    ),
    (
        {"monitoring": {"serviceMonitor": {"labels": {"a": "b c"}}}},
        'monitoring.serviceMonitor.labels, key a, is "b c"',
    ),
    ({"monitoring": {"prometheusRule": {"labels": {"a/": "b"}}}}, 'labels is "a/"'),
    ({"monitoring": {"dashboards": {"annotations": {"a b": "c"}}}}, 'annotations is "a b"'),
    (together(nodeSelector={"a b": "c"}), 'a key of pods.together.nodeSelector is "a b"'),
    (together(nodeSelector={"a": "b/c"}), 'pods.together.nodeSelector, key a, is "b/c"'),
    ({"topologySpread": {"keys": ["zone", "zone"]}}, 'keys contains "zone" twice: remove one'),
    ({"topologySpread": {"keys": ["a b"]}}, 'topologySpread.keys[0] is "a b"'),
]

RESOURCES = [
    (
        resources({"memory": "4Gi"}, {"memory": "2Gi"}),
        "pods.together.resources.requests.memory is 4Gi, more than limits.memory, which is 2Gi:"
        " lower the request or raise the limit",
    ),
    (together(resources={"requests": {"memory": "4Gi"}}), "more than limits.memory"),
    (resources({"memory": "2Gi"}, {"memory": "2G"}), "more than limits.memory"),
    (resources({"memory": "1025Mi"}, {"memory": "1Gi"}), "more than limits.memory"),
    (resources({"memory": "2e9"}, {"memory": "1.5G"}), "more than limits.memory"),
    (resources({"memory": 2000000000}, {"memory": "1.5Gi"}), "more than limits.memory"),
    (resources({"cpu": "1500m"}, {"cpu": 1}), "requests.cpu is 1500m, more than limits.cpu"),
    (resources({"cpu": 0.3}, {"cpu": "299m"}), "requests.cpu is 0.3, more than limits.cpu"),
    (resources({"memory": "1GB"}, {}), 'requests.memory is "1GB": use a quantity'),
    (resources({"memory": "1 Gi"}, {}), "use a quantity"),
    (resources({"memory": "1gi"}, {}), "use a quantity"),
    (resources({"memory": ""}, {}), "use a quantity"),
    (resources({"memory": "1,5Gi"}, {}), "use a quantity"),
    (resources({"cpu": "-1"}, {}), "that is not negative"),
    (resources({"cpu": -1}, {}), "that is not negative"),
    (resources({"cpu": "two"}, {}), "use a quantity"),
    (resources({}, {"memory": "512m"}), "limits.memory is 512m, which is not a whole number (m"),
    (resources({}, {"ephemeral-storage": "0.5"}), "which is not a whole number"),
    (resources({"gpu": 1}, {"gpu": 1}), 'requests contains "gpu": use cpu, memory'),
    (resources({}, {"CPU": 1}), 'limits contains "CPU"'),
    (resources({}, {"pods": 1}), 'limits contains "pods"'),
    (resources({}, {"requests.nvidia.com/gpu": 1}), 'limits contains "requests.nvidia.com/gpu"'),
    (resources({}, {"nvidia.com/a/b": 1}), 'limits is "nvidia.com/a/b"'),
    (resources({}, {"nvidia.com/gpu": "500m"}), "which is not a whole number"),
    (resources({"nvidia.com/gpu": 1}, {}), "requests.nvidia.com/gpu has no limit"),
    (
        resources({"nvidia.com/gpu": 1}, {"nvidia.com/gpu": 2}),
        "requires the same number for such a resource",
    ),
]

SCHEDULING = [
    ({"podDisruptionBudget": {"maxUnavailable": "200%"}}, "a percentage from 1% to 100%"),
    ({"podDisruptionBudget": {"maxUnavailable": "101%"}}, "a percentage from 1% to 100%"),
    ({"podDisruptionBudget": {"maxUnavailable": "-5%"}}, "a percentage from 1% to 100%"),
    ({"podDisruptionBudget": {"maxUnavailable": "1"}}, "use a number of pods, or a percentage"),
    ({"podDisruptionBudget": {"maxUnavailable": ""}}, "use a number of pods, or a percentage"),
    ({"podDisruptionBudget": {"maxUnavailable": "0%"}}, "with 0 no node can be drained"),
    ({"podDisruptionBudget": {"maxUnavailable": "2.5%"}}, "a percentage from 1% to 100%"),
    (together(tolerations=[{"key": "a b"}]), 'pods.together.tolerations[0].key is "a b"'),
    (together(tolerations=[{"key": "a", "value": "b c"}]), 'tolerations[0].value is "b c"'),
    (together(tolerations=[{}]), "tolerations[0] has no key: set key, or operator"),
    (together(tolerations=[{"value": "b"}]), "tolerations[0] has no key: set key, or operator"),
    (
        together(tolerations=[{"key": "a", "operator": "Exists", "value": "b"}]),
        "has a value, but the operator Exists takes none",
    ),
    (
        together(tolerations=[{"key": "a", "tolerationSeconds": 5, "effect": "NoSchedule"}]),
        "which requires effect: NoExecute",
    ),
    (
        together(
            affinity={
                "podAntiAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": [
                        {"labelSelector": {}, "topologyKey": "a b"}
                    ]
                }
            }
        ),
        'topologyKey is "a b"',
    ),
    (
        together(
            affinity={
                "nodeAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {
                        "nodeSelectorTerms": [
                            {"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["x"]}]}
                        ]
                    }
                }
            }
        ),
        "operator Gt, which requires one integer",
    ),
    (
        together(
            affinity={
                "podAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": [
                        {
                            "labelSelector": {},
                            "topologyKey": "zone",
                            "matchLabelKeys": ["a"],
                            "mismatchLabelKeys": ["a"],
                        }
                    ]
                }
            }
        ),
        "has a in matchLabelKeys and in mismatchLabelKeys: remove one of them",
    ),
    (
        together(
            affinity={
                "nodeAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {
                        "nodeSelectorTerms": [
                            {"matchFields": [{"key": "name", "operator": "In", "values": ["a"]}]}
                        ]
                    }
                }
            }
        ),
        "matchFields[0]: use the key metadata.name, the operator In or NotIn, and one value",
    ),
]

NETWORK = [
    (block("10.0.0.0"), 'kafkaTo[0].ipBlock.cidr is "10.0.0.0": use an address block such as'),
    (block("10.0.0.0/33"), "use an address block"),
    (block("10.0.0.256/8"), "use an address block"),
    (block("10.0.0/8"), "use an address block"),
    (block("10.0.0.0.0/8"), "use an address block"),
    (block("010.0.0.0/8"), "use an address block"),
    (block("10.0.0.0/08"), "use an address block"),
    (block("10.0.0.0/"), "use an address block"),
    (block("10.0.0.0/-1"), "use an address block"),
    (block("10.0.0.0/8/8"), "use an address block"),
    (block(""), "use an address block"),
    (block("kafka.example.com"), "use an address block"),
    (block("2001:db8::/129"), "use an address block"),
    (block("2001::db8::/32"), "use an address block"),
    (block("2001:db8:1:2:3:4:5/64"), "use an address block"),
    (block("2001:db8:1:2:3:4:5:6:7/64"), "use an address block"),
    (block("12345::/16"), "use an address block"),
    (block(":2001::/16"), "use an address block"),
    (block("2001:db8/32"), "use an address block"),
    (block(":::/0"), "use an address block"),
    (block("10.1.2.3/8"), "behind its first 8 bits is not zero: write the first address of the"),
    (block("2001:db8::1/32"), "behind its first 32 bits is not zero"),
    (block("10.0.0.0/8", "10.1.2.3/16"), "except[0] is 10.1.2.3/16, but the part of the address"),
    (block("::ffff:0:0/96"), "use an address block"),
    (block("0:0:0:0:0:FFFF:a00:0/104"), "use an address block"),
    (block("10.0.0.0/8", "10.0.0.0"), 'except[0] is "10.0.0.0": use an address block'),
    (block("10.0.0.0/8", "11.0.0.0/16"), "except[0] is 11.0.0.0/16, which is not a smaller block"),
    (block("10.0.0.0/8", "10.0.0.0/8"), "is not a smaller block within cidr (10.0.0.0/8)"),
    (block("10.0.0.0/16", "10.0.0.0/8"), "is not a smaller block"),
    (block("0.0.0.0/0", "2001:db8::/32"), "is not a smaller block"),
    (block("2001:db8::/32", "2001:db9::/48"), "is not a smaller block"),
    (policy(metricsFrom=[{}]), "networkPolicy.metricsFrom[0] is empty: give it a"),
    (policy(kafkaTo=[{}]), "networkPolicy.kafkaTo[0] is empty"),
    (egress({}), "networkPolicy.extraEgress[0].to[0] is empty: give it a namespaceSelector"),
    (policy(extraEgress=[{}]), "extraEgress[0] is empty and would allow every connection"),
    (egress(), "extraEgress[0].to is empty, which means all of them: remove the key"),
    (ports(), "extraEgress[0].ports is empty, which means all of them"),
    (
        egress({"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}),
        "to[0] has an ipBlock and a selector: make them two peers",
    ),
    (egress({"podSelector": {"matchLabels": {"a b": "c"}}}), "a key of networkPolicy.extraEgress"),
    (one({"key": "a", "operator": "In"}), "has no values, but the operator In requires some"),
    (one({"key": "a", "operator": "Exists", "values": ["b"]}), "has values, but the operator"),
    (one({"key": "a b", "operator": "Exists"}), 'matchExpressions[0].key is "a b"'),
    (one({"key": "a", "operator": "In", "values": ["b c"]}), "a value of networkPolicy"),
    (ports({"port": "HTTP"}), 'ports[0].port is "HTTP": use a number from 1 to 65535, or the'),
    (ports({"port": "a-name-that-is-long"}), "of at most 15 lower-case letters"),
    (ports({"port": "a--b"}), "single hyphens"),
    (ports({"port": "-a"}), "single hyphens"),
    (ports({"port": "3128"}), "a number in quotes: remove the quotes"),
    (ports({"port": 90, "endPort": 80}), "endPort is 80, which requires a port with a number"),
    (ports({"endPort": 80}), "endPort is 80, which requires a port with a number"),
    (ports({"port": "http", "endPort": 80}), "endPort is 80, which requires a port"),
    (brokers("kafka:99999"), "HOST:PORT with a port from 1 to 65535"),
    (brokers("kafka:0"), "HOST:PORT with a port from 1 to 65535"),
    (brokers("kafka:"), "HOST:PORT with a port from 1 to 65535"),
    (brokers("kafka:broker"), "HOST:PORT with a port from 1 to 65535"),
    (brokers("2001:db8::1"), "brackets around an IPv6 address"),
    (brokers("kafka 9092"), "use HOST:PORT"),
    (brokers("a:1 b:2"), "use HOST:PORT"),
]

INSTANCE = [
    (
        instance(pods={"together": {"replicas": 2}}),
        "config.kafka.instance is a, but pods.together.replicas is 2, and several pods must not"
        " have the same name: remove config.kafka.instance and set workload to StatefulSet",
    ),
    (instance(mode="split"), "but mode is split, and several pods must not have the same name"),
    (instance(autoscaling={"enabled": True}), "but autoscaling is enabled, and several pods"),
    (
        instance(workload="StatefulSet"),
        "workload is StatefulSet, which gives each pod a name of its own: remove config.kafka",
    ),
    (
        instance(workload="StatefulSet", pods={"together": {"replicas": 2}}),
        "workload is StatefulSet",
    ),
]


@pytest.mark.parametrize(
    ("values", "message"),
    [*NAMES, *LABELS, *RESOURCES, *SCHEDULING, *NETWORK, *INSTANCE],
    ids=lambda case: case[:60] if isinstance(case, str) else None,
)
def test_malformed_values_are_reported_in_a_sentence(values: dict[str, Any], message: str) -> None:
    """Values that an API server or the broker rejects cause an error that says how to fix them."""
    assert message in error(values)


def test_release_name_must_be_a_label() -> None:
    """A release name that ends with a hyphen is not a label, whatever the Service is named."""
    assert "that ends with a letter or digit" in error({"fullnameOverride": "drift"}, "a-")


@pytest.mark.parametrize("release", ["my.release", "1st", "1"])
def test_release_name_must_be_the_name_of_a_service(release: str) -> None:
    """A release name with dots or with a digit first needs fullnameOverride."""
    message = error({}, release)
    assert f'the release name is "{release}", and a Service cannot be named' in message
    assert "or set fullnameOverride" in message
    accepted({"fullnameOverride": "drift"}, release)


@pytest.mark.parametrize(
    ("values", "release"),
    [
        ({}, "a" * 53),
        ({}, "a" + "-" * 51 + "b"),
        ({}, "true"),
        ({"fullnameOverride": "null", "nameOverride": "on"}, "1e3"),
        ({"fullnameOverride": "a" * 40, "mode": "split", "workload": "StatefulSet"}, "demo"),
        ({"nameOverride": "a" * 40}, "demo"),
        (
            {
                "credentials": {"existingSecret": "1", "environmentSecret": "1e3"},
                "references": {"existingClaim": "true"},
                "image": {"pullSecrets": ["0x10"]},
                "serviceAccount": {"name": "null"},
                "pods": {"together": {"priorityClassName": "1", "runtimeClassName": "no"}},
                "topologySpread": {"keys": ["1"]},
            },
            "demo",
        ),
        (
            {
                "credentials": {"inline": {"1": "x", "true": "y"}},
                "config": {"kafka": {"prefix": "1", "logs": ["1e3"]}},
                "autoscaling": {"enabled": True, "authenticationRef": "1"},
            },
            "demo",
        ),
    ],
)
def test_names_that_look_like_numbers_or_are_long_are_accepted(
    values: dict[str, Any], release: str
) -> None:
    """Names stay texts in the manifests, and suffixes fit behind the longest ones."""
    for manifest in accepted(values, release):
        name = manifest["metadata"]["name"]
        assert isinstance(name, str)
        assert len(name) <= 63


@pytest.mark.parametrize(
    "values",
    [
        resources({"cpu": "300m"}, {"cpu": 0.3}),
        resources({"cpu": "0.1", "memory": "1Gi"}, {"cpu": "100m", "memory": "1024Mi"}),
        resources({"memory": "1.5Gi"}, {"memory": 1610612736}),
        resources({"memory": "1e3"}, {"memory": "1k"}),
        resources({"memory": "1P"}, {"memory": "1Pi"}),
        resources({}, {"nvidia.com/gpu": 1, "ephemeral-storage": "1Gi"}),
        resources({"nvidia.com/gpu": "1"}, {"nvidia.com/gpu": 1}),
        resources({"cpu": 0}, {"cpu": ".5"}),
        resources({"kubernetes.io/batch-cpu": 1}, {}),
        together(resources={"requests": None, "limits": None}),
        {"podDisruptionBudget": {"maxUnavailable": "100%"}},
        {"podDisruptionBudget": {"maxUnavailable": "1%"}},
        {"podDisruptionBudget": {"maxUnavailable": 1000000}},
        {"terminationGracePeriodSeconds": 1000000},
        {"topologySpread": {"keys": []}},
        {"podSecurity": {"fsGroup": 0}},
        {"podLabels": {"app.kubernetes.io/part-of": "search", "a": ""}},
        {"podAnnotations": {"Example.com/Note": "any text: {}"}},
        block("0.0.0.0/0", "10.0.0.0/8", "192.168.0.0/16"),
        block("10.20.0.0/16", "10.20.128.0/17", "10.20.3.4/32", "10.20.3.0/30"),
        block("::/0", "fe80::/10", "2001:db8:0:0:0:0:0:1/128"),
        block("2001:DB8::/32", "2001:db8:1::/48"),
        block("1:2:3:4:5:6:7::/112"),
        egress({"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "proxy"}}}),
        one({"key": "a", "operator": "NotIn", "values": ["b", ""]}),
        ports({"port": 3128, "endPort": 3130}, {"port": "http-alt", "protocol": "TCP"}, {}),
        brokers("SASL_SSL://kafka-1:9092, [2001:db8::1]:9093,kafka_3"),
        together(
            tolerations=[
                {"operator": "Exists"},
                {"key": "a", "value": "b"},
                {"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60},
            ],
            affinity={
                "nodeAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {
                        "nodeSelectorTerms": [
                            {
                                "matchExpressions": [
                                    {"key": "cores", "operator": "Gt", "values": ["8"]}
                                ],
                                "matchFields": [
                                    {"key": "metadata.name", "operator": "In", "values": ["a"]}
                                ],
                            }
                        ]
                    },
                    "preferredDuringSchedulingIgnoredDuringExecution": [
                        {
                            "weight": 1,
                            "preference": {
                                "matchExpressions": [{"key": "ssd", "operator": "Exists"}]
                            },
                        }
                    ],
                },
                "podAffinity": {
                    "preferredDuringSchedulingIgnoredDuringExecution": [
                        {
                            "weight": 100,
                            "podAffinityTerm": {
                                "labelSelector": {"matchLabels": {"app": "kafka"}},
                                "namespaces": ["kafka"],
                                "topologyKey": "topology.kubernetes.io/zone",
                            },
                        }
                    ]
                },
            },
        ),
    ],
)
def test_valid_values_are_accepted(values: dict[str, Any]) -> None:
    """Unusual but valid values pass the checks, and their manifests are valid."""
    accepted(values)


def test_one_pod_may_have_an_instance() -> None:
    """A single pod keeps its instance; its Deployment never runs two pods at the same time."""
    [workload] = of_kind(accepted(instance()), "Deployment")
    assert workload["spec"]["strategy"] == {"type": "Recreate"}
    [workload] = of_kind(accepted({}), "Deployment")
    assert workload["spec"]["strategy"]["type"] == "RollingUpdate"


def test_group_id_zero_is_kept() -> None:
    """A group ID of 0 is not the same as null."""
    assert pod({"podSecurity": {"fsGroup": 0}})["securityContext"]["fsGroup"] == 0
    assert "fsGroup" not in pod({"podSecurity": {"fsGroup": None}})["securityContext"]
