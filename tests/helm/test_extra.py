"""Tests of extraEnv, extraVolumes and extraVolumeMounts."""

from __future__ import annotations

from typing import Any

import helm_python
import pytest

from tests.helm.render import merged, render
from tests.helm.test_formats import TRIAL, accepted, error, pod

CA = {"name": "ca", "configMap": {"name": "company-ca"}}
MOUNT = {"name": "ca", "mountPath": "/etc/ca"}


def env(*variables: dict[str, Any]) -> dict[str, Any]:
    """Return values with these variables."""
    return {"extraEnv": list(variables)}


def source(**given: Any) -> dict[str, Any]:
    """Return values with a variable from this source."""
    return env({"name": "A", "valueFrom": given})


def volumes(*given: dict[str, Any]) -> dict[str, Any]:
    """Return values with these volumes."""
    return {"extraVolumes": list(given)}


def mounts(*given: dict[str, Any]) -> dict[str, Any]:
    """Return values with the volume `ca` and these mounts, each of it."""
    return {
        "extraVolumes": [CA],
        "extraVolumeMounts": [{"name": "ca", **each} for each in given],
    }


SECRET = {"name": "a", "key": "b"}

VARIABLES = [
    (env({"name": "1ST"}), 'extraEnv[0].name is "1ST": use letters, digits and underscores'),
    (env({"name": "MY VAR"}), 'extraEnv[0].name is "MY VAR"'),
    (env({"name": "A=B"}), 'extraEnv[0].name is "A=B"'),
    (env({"name": ""}), 'extraEnv[0].name is ""'),
    (env({"name": "A"}, {"name": "A"}), 'extraEnv contains "A" twice: remove one of them'),
    (env({"name": "A", "value": "x", "valueFrom": {"secretKeyRef": SECRET}}), "remove one of them"),
    (env({"name": "A", "valueFrom": {}}), "valueFrom has 0 sources: give exactly one"),
    (source(secretKeyRef=SECRET, configMapKeyRef=SECRET), "valueFrom has 2 sources"),
    (source(secretKeyRef={"name": "A_b", "key": "c"}), 'valueFrom.secretKeyRef.name is "A_b"'),
    (source(configMapKeyRef={"name": "a", "key": "b c"}), "configMapKeyRef.key is"),
    (source(fieldRef={"fieldPath": "spec.name"}), "use a field such as metadata.name"),
    (source(fieldRef={"fieldPath": "metadata.labels['a b']"}), "use a field such as"),
    (source(fieldRef={"fieldPath": "metadata.labels"}), "use a field such as metadata.name"),
    (
        env({"name": "PLUMBLINE__KAFKA__INSTANCE", "value": "a"}),
        "extraEnv[0] is PLUMBLINE__KAFKA__INSTANCE, which several pods must not share: remove it"
        " and set workload to StatefulSet, which gives each pod a name of its own",
    ),
    (env({"name": "plumbline__kafka__instance"}), "which several pods must not share"),
    (env({"name": "PLUMBLINE__KAFKA"}), "set config.kafka instead"),
    (env({"name": "PLUMBLINE__KAFKA__BOOTSTRAP_SERVERS"}), "config.kafka.bootstrap_servers"),
    (env({"name": "PLUMBLINE__KAFKA__PREFIX"}), "set config.kafka.prefix instead"),
    (env({"name": "PLUMBLINE__KAFKA__LOGS"}), "set config.kafka.logs instead"),
    (env({"name": "PLUMBLINE__KAFKA__PARTITIONS"}), "set config.kafka.partitions instead"),
    (env({"name": "PLUMBLINE__HTTP__PORT", "value": "80"}), "set config.http.port instead"),
    (env({"name": "PLUMBLINE__HTTP__HOST"}), "set config.http.host instead"),
    (
        env({"name": "PLUMBLINE__KAFKA__CLIENT__SASL_PASSWORD", "value": "hush-hush"}),
        "is a secret and must not be in the values: store it in a Secret",
    ),
    (
        env({"name": "PLUMBLINE__NOTIFICATIONS__TARGETS__TEAM__URL", "value": "hush-hush"}),
        "is a secret and must not be in the values",
    ),
    (
        env({"name": "PLUMBLINE__NOTIFICATIONS__TARGETS__AM__PASSWORD", "value": "hush-hush"}),
        "is a secret and must not be in the values",
    ),
]

VOLUMES = [
    (volumes({"name": "ca"}), "extraVolumes[0] (ca) has 0 sources: give exactly one"),
    (volumes({**CA, "emptyDir": {}}), "extraVolumes[0] (ca) has 2 sources"),
    (volumes(CA, CA), 'extraVolumes contains "ca" twice'),
    (volumes({**CA, "name": "config"}), "is named config, as a volume of the chart: use another"),
    (volumes({**CA, "name": "credentials"}), "is named credentials, as a volume of the chart"),
    (volumes({**CA, "name": "references"}), "is named references, as a volume of the chart"),
    (volumes({**CA, "name": "tmp"}), "is named tmp, as a volume of the chart"),
    (volumes({**CA, "name": "my.ca"}), 'extraVolumes[0].name is "my.ca": use at most 63'),
    (volumes({**CA, "name": "CA"}), 'extraVolumes[0].name is "CA"'),
    (volumes({**CA, "name": "a" * 64}), "use at most 63"),
    (volumes({"name": "a", "configMap": {"name": "A b"}}), 'configMap.name is "A b"'),
    (volumes({"name": "a", "secret": {"secretName": ""}}), 'secret.secretName is ""'),
    (volumes({"name": "a", "persistentVolumeClaim": {"claimName": "A"}}), 'claimName is "A"'),
    (volumes({"name": "a", "emptyDir": {"sizeLimit": "1GB"}}), "use a quantity"),
    (
        volumes(
            {"name": "a", "secret": {"secretName": "a", "items": [{"key": "b c", "path": "d"}]}}
        ),
        'items[0].key is "b c"',
    ),
    (
        volumes(
            {"name": "a", "secret": {"secretName": "a", "items": [{"key": "b", "path": "/c"}]}}
        ),
        'items[0].path is "/c": use a relative path without ..',
    ),
    (
        volumes({"name": "a", "configMap": {"name": "a", "items": [{"key": "b", "path": "../c"}]}}),
        "use a relative path without ..",
    ),
    (
        volumes(
            {
                "name": "a",
                "downwardAPI": {
                    "items": [{"path": "a", "fieldRef": {"fieldPath": "spec.nodeName"}}]
                },
            }
        ),
        "use a field such as metadata.name, metadata.labels",
    ),
    (
        volumes(
            {"name": "a", "configMap": {"name": "a", "items": [{"key": "b", "path": "..c"}]}},
        ),
        "use a relative path without ..",
    ),
    (volumes({"name": "a", "csi": {"driver": "a" * 64}}), "use at most 63 letters"),
    (
        volumes(
            {
                "name": "a",
                "projected": {
                    "sources": [
                        {"secret": {"name": "b", "items": [{"key": "c", "path": "d"}]}},
                        {"serviceAccountToken": {"path": "d"}},
                    ]
                },
            }
        ),
        'the paths of extraVolumes[0] contains "d" twice',
    ),
    (
        volumes(
            {
                "name": "a",
                "secret": {
                    "secretName": "b",
                    "items": [{"key": "c", "path": "d"}, {"key": "e", "path": "d"}],
                },
            }
        ),
        'the paths of extraVolumes[0] contains "d" twice',
    ),
    (volumes({"name": "a", "projected": {"sources": [{}]}}), "sources[0] has 0 sources"),
    (
        volumes({"name": "a", "projected": {"sources": [{"secret": {"name": "A"}}]}}),
        'projected.sources[0].secret.name is "A"',
    ),
]

MOUNTS = [
    (
        {"extraVolumeMounts": [MOUNT]},
        'extraVolumeMounts[0] mounts "ca", which is not in extraVolumes: add the volume',
    ),
    ({"extraVolumeMounts": [{"name": "tmp", "mountPath": "/x"}]}, "is not in extraVolumes"),
    (mounts({"mountPath": "etc/ca"}), 'mountPath is "etc/ca": use an absolute path'),
    (mounts({"mountPath": ""}), 'mountPath is "": use an absolute path'),
    (mounts({"mountPath": "/etc/../ca"}), "use an absolute path without colons, .. and a slash"),
    (mounts({"mountPath": "/etc/ca/"}), "and a slash at its end"),
    (mounts({"mountPath": "/etc/a:b"}), "use an absolute path without colons"),
    (
        mounts({"mountPath": "/etc/ca"}, {"mountPath": "/etc/ca"}),
        'the mountPath of extraVolumeMounts contains "/etc/ca" twice',
    ),
    (mounts({"mountPath": "/"}), "of the chart: mount it elsewhere"),
    (mounts({"mountPath": "/tmp"}), "would cover or change /tmp of the chart"),
    (mounts({"mountPath": "/etc"}), "would cover or change /etc/plumbline/plumbline.yaml"),
    (mounts({"mountPath": "/etc/plumbline"}), "/etc/plumbline/plumbline.yaml of the chart"),
    (mounts({"mountPath": "/etc/plumbline/plumbline.yaml"}), "of the chart: mount it elsewhere"),
    (mounts({"mountPath": "/etc/plumbline/credentials"}), "/etc/plumbline/credentials of the"),
    (mounts({"mountPath": "/etc/plumbline/credentials/ca"}), "/etc/plumbline/credentials of the"),
    (mounts({"mountPath": "/var/lib/plumbline"}), "/var/lib/plumbline/references of the chart"),
    (mounts({"mountPath": "/opt/plumbline"}), "would cover or change /opt/plumbline"),
    (mounts({"mountPath": "/ca", "subPath": "/a"}), "subPath is"),
    (mounts({"mountPath": "/ca", "subPath": "a/../b"}), "use a relative path without .."),
]


@pytest.mark.parametrize(
    ("values", "message"),
    [*VARIABLES, *VOLUMES, *MOUNTS],
    ids=lambda case: case[:60] if isinstance(case, str) else None,
)
def test_wrong_additions_are_reported_in_a_sentence(values: dict[str, Any], message: str) -> None:
    """Malformed additions, and those that collide with the chart's own, cause an error."""
    reported = error(values)
    assert message in reported
    assert "hush-hush" not in reported


@pytest.mark.parametrize(
    "values",
    [
        env({"name": "A", "value": 1}),
        env({"value": "a"}),
        {"extraEnv": {"A": "a"}},
        {"extraEnv": None},
        env({"name": "A", "valuefrom": {}}),
        volumes({"name": "a", "hostPath": {"path": "/etc"}}),
        volumes({"name": "a", "configMap": {"name": "a", "defaultMode": 512}}),
        volumes({"name": "a", "configMap": {}}),
        mounts({"mountPath": "/a", "mountPropagation": "Bidirectional"}),
        {"env": [{"name": "A"}]},
    ],
)
def test_schema_of_the_additions_is_closed(values: dict[str, Any]) -> None:
    """The schema rejects wrong types and keys, and volumes that `restricted` pods cannot have."""
    with pytest.raises(helm_python.HelmError, match="at '"):
        render(merged(TRIAL, values))


def test_variables_are_added_to_the_container() -> None:
    """A proxy is set by extraEnv; in a StatefulSet the instance comes from the pod's name."""
    given: list[dict[str, Any]] = [
        {"name": "HTTPS_PROXY", "value": "http://proxy:3128"},
        {"name": "no_proxy", "value": ".svc,10.0.0.0/8"},
        {"name": "EMPTY"},
        {
            "name": "PLUMBLINE__NOTIFICATIONS__TARGETS__TEAM__URL",
            "valueFrom": {"secretKeyRef": {"name": "chat", "key": "url", "optional": True}},
        },
        {"name": "PLUMBLINE__KAFKA__CLIENT__SASL_PASSWORD__FILE", "value": "/etc/p/password"},
        {"name": "PLUMBLINE__LOG__LEVEL", "value": "debug"},
        {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        {"name": "TEAM", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['team']"}}},
    ]
    assert pod(env(*given))["containers"][0]["env"] == given
    [own, *others] = pod({"workload": "StatefulSet", **env(*given)})["containers"][0]["env"]
    assert own["name"] == "PLUMBLINE__KAFKA__INSTANCE"
    assert others == given
    assert "env" not in pod({})["containers"][0]


def test_additions_apply_to_every_role() -> None:
    """In mode split every workload has the variables, volumes and mounts."""
    values = {"mode": "split", **env({"name": "A"}), **mounts({"mountPath": "/etc/ca"})}
    specs = [
        each["spec"]["template"]["spec"]
        for each in accepted(values)
        if each["kind"] == "Deployment"
    ]
    assert len(specs) == 2
    for spec in specs:
        assert spec["containers"][0]["env"] == [{"name": "A"}]
        assert spec["containers"][0]["volumeMounts"][-1] == MOUNT
        assert spec["volumes"][-1] == CA


@pytest.mark.parametrize(
    "volume",
    [
        CA,
        {
            "name": "ca",
            "secret": {
                "secretName": "ca",
                "defaultMode": 0o440,
                "items": [{"key": "ca.crt", "path": "certs/ca.crt", "mode": 0o400}],
            },
        },
        {"name": "ca", "emptyDir": {}},
        {"name": "ca", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}},
        {"name": "1", "persistentVolumeClaim": {"claimName": "1", "readOnly": True}},
        {
            "name": "vault",
            "csi": {
                "driver": "secrets-store.csi.k8s.io",
                "readOnly": True,
                "volumeAttributes": {"secretProviderClass": "Any Text", "path": "/.."},
            },
        },
        {
            "name": "pod",
            "downwardAPI": {
                "items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]
            },
        },
        {
            "name": "all",
            "projected": {
                "sources": [
                    {"configMap": {"name": "a", "optional": True}},
                    {"secret": {"name": "b", "items": [{"key": "c", "path": "d"}]}},
                    {"serviceAccountToken": {"path": "token", "audience": "kafka"}},
                ]
            },
        },
    ],
    ids=lambda volume: f"{volume['name']}-{sorted(volume)}",
)
def test_volumes_are_added_to_the_pod(volume: dict[str, Any]) -> None:
    """Each allowed source is copied as it is, and passes the schema of Kubernetes."""
    mount = {"name": volume["name"], "mountPath": "/tmp/more", "readOnly": True}
    spec = pod({"extraVolumes": [volume], "extraVolumeMounts": [mount]})
    assert spec["volumes"][-1] == volume
    assert spec["containers"][0]["volumeMounts"][-1] == mount


def test_a_single_file_can_be_mounted() -> None:
    """One volume can have several mounts, each of one file beside files of the image."""
    values = mounts(
        {"mountPath": "/etc/ssl/certs/company.crt", "subPath": "company.crt"},
        {"mountPath": "/etc/plumbline/more", "readOnly": True},
    )
    assert len(pod(values)["containers"][0]["volumeMounts"]) == 4
