"""The web application in the chart: pods, database, network, ingress, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from helm_python import HelmError

from helm.build import CHART
from tests.helm.render import manifests, merged, of_kind, render, values_of

VALUES = values_of(CHART / "ci" / "web-values.yaml")


def web(**more: Any) -> list[dict[str, Any]]:
    """Return the manifests of the chart's example, with more values."""
    return manifests(merged(VALUES, more))


def pod_of(found: list[dict[str, Any]], component: str) -> dict[str, Any]:
    """Return the pod of a workload."""
    for each in of_kind(found, "Deployment"):
        if each["metadata"]["labels"]["app.kubernetes.io/component"] == component:
            pod: dict[str, Any] = each["spec"]["template"]["spec"]
            return pod
    raise AssertionError(component)


@pytest.mark.parametrize("mode", ["together", "split"])
def test_the_pages_have_pods_of_their_own(mode: str) -> None:
    """In either mode one workload runs the role, from its image; no other pod does."""
    found = web(mode=mode)
    container = pod_of(found, "web")["containers"][0]
    assert container["args"][-1] == "--roles=web"
    assert container["image"] == "registry.example.com/plumbline:2.1-web"
    assert {"name": "web", "containerPort": 9465} in container["ports"]
    others = [
        each for each in of_kind(found, "Deployment") if "web" not in each["metadata"]["name"]
    ]
    for each in others:
        roles = each["spec"]["template"]["spec"]["containers"][0]["args"][-1]
        assert roles.startswith("--roles=")
        assert "web" not in roles


def test_the_schema_is_upgraded_before_a_pod_starts() -> None:
    """By default; without it an admin runs the command."""
    (upgrade,) = pod_of(web(), "web")["initContainers"]
    assert upgrade["args"][:2] == ["db", "upgrade"]
    assert "initContainers" not in pod_of(web(web={"upgradeStore": False}), "web")


def test_only_the_proxy_reaches_the_pages() -> None:
    """The policy allows its peers on the port of the pages, and the database on its port."""
    found = web()
    (policy,) = [
        p for p in of_kind(found, "NetworkPolicy") if p["metadata"]["name"].endswith("web")
    ]
    (ingress,) = policy["spec"]["ingress"]
    assert ingress["ports"] == [{"protocol": "TCP", "port": "web"}]
    assert ingress["from"] == VALUES["networkPolicy"]["webFrom"]
    (egress,) = policy["spec"]["egress"]
    assert egress["ports"] == [{"protocol": "TCP", "port": 5432}]
    closed = web(networkPolicy={"webFrom": []})
    (policy,) = [
        p for p in of_kind(closed, "NetworkPolicy") if p["metadata"]["name"].endswith("web")
    ]
    assert "ingress" not in policy["spec"]


@pytest.mark.parametrize("mode", ["together", "split"])
def test_only_the_pages_write_evaluation_sets(mode: str) -> None:
    """Their pods mount the claim, where the configuration has the folder; without one, nothing."""
    found = web(mode=mode)
    mounted = {}
    for each in of_kind(found, "Deployment"):
        pod = each["spec"]["template"]["spec"]
        claims = [v["persistentVolumeClaim"] for v in pod["volumes"] if v["name"] == "evalsets"]
        mounts = [m for m in pod["containers"][0]["volumeMounts"] if m["name"] == "evalsets"]
        mounted[each["metadata"]["labels"]["app.kubernetes.io/component"]] = (claims, mounts)
    folder = VALUES["config"]["web"]["evaluation_sets"]
    claim = [{"claimName": "plumbline-evalsets"}]
    assert mounted.pop("web") == (claim, [{"name": "evalsets", "mountPath": folder}])
    assert all(each == ([], []) for each in mounted.values())
    without = web(web={"setsClaim": ""}, config={"web": {"evaluation_sets": None}})
    assert all(each["name"] != "evalsets" for each in pod_of(without, "web")["volumes"])


def test_a_volume_of_ones_own_may_hold_the_sets() -> None:
    """Any volume that is mounted by other values may contain the folder."""
    mounts = [{"name": "shared", "mountPath": "/srv/shared"}]
    volumes = [{"name": "shared", "persistentVolumeClaim": {"claimName": "sets"}}]
    own: dict[str, Any] = {"web": {"setsClaim": ""}, "extraVolumes": volumes}
    own |= {"extraVolumeMounts": mounts}
    for folder in ("/srv/shared", "/srv/shared/sets"):
        assert web(**own, config={"web": {"evaluation_sets": folder}})
    with pytest.raises(HelmError, match="on no volume"):
        web(**own, config={"web": {"evaluation_sets": "/srv/sharedsets"}})


def test_the_ingress_is_off_by_default() -> None:
    """With it, it leads to the service of the pages, with the certificate."""
    assert of_kind(web(web={"ingress": {"enabled": False}}), "Ingress") == []
    found = web()
    (ingress,) = of_kind(found, "Ingress")
    (rule,) = ingress["spec"]["rules"]
    name = rule["http"]["paths"][0]["backend"]["service"]["name"]
    (service,) = [s for s in of_kind(found, "Service") if s["metadata"]["name"] == name]
    assert service["spec"]["selector"]["app.kubernetes.io/component"] == "web"
    assert ingress["spec"]["tls"] == [{"hosts": ["review.example.com"], "secretName": "review-tls"}]


def test_without_the_role_nothing_is_created() -> None:
    """No pods, no service and no policy."""
    found = web(config={"web": {"enabled": False}}, web={"ingress": {"enabled": False}})
    assert "web" not in yaml.safe_dump([each["metadata"]["name"] for each in found])


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"config": {"web": {"host": "127.0.0.1"}}}, "config.web.host is an address of the pod itself"),
    ({"config": {"store": {"url": "sqlite:///x.db"}}}, "a file of SQLite that serves one process"),
    ({"config": {"web": {"allowed_hosts": []}}}, "config.web.allowed_hosts is empty"),
    ({"config": {"web": {"proxy": {"secret": "x"}}}}, "config.web.proxy.secret is a secret"),
    ({"credentials": {"existingSecret": ""}}, "but no Secret is mounted"),
    ({"web": {"ingress": {"host": ""}}}, "web.ingress.host is empty"),
    ({"web": {"ingress": {"host": "other.example.com"}}}, "allowed_hosts does not list"),
    (
        {"web": {"setsClaim": ""}},
        "config.web.evaluation_sets is /var/lib/plumbline/evalsets, which",
    ),
    ({"config": {"web": {"evaluation_sets": "sets"}}}, "is sets, which is on no volume"),
    ({"config": {"web": {"evaluation_sets": None}}}, "config.web.evaluation_sets is not"),
    ({"image": {"digest": f"sha256:{64 * '1'}"}}, "image.webDigest is not"),
    ({"image": {"webDigest": f"sha256:{64 * '1'}"}}, "but image.digest is not"),
]


@pytest.mark.parametrize(("values", "message"), REFUSED)
def test_what_cannot_work_is_refused(values: dict[str, Any], message: str) -> None:
    """The message says what is wrong and what to change."""
    with pytest.raises(HelmError, match=message.replace(".", r"\.")):
        render(merged(VALUES, values))
