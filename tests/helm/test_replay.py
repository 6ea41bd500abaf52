"""Tests of replays in the chart: roles, jobs, images, network, and values that cannot work."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import helm_python
import pytest
import yaml

from helm.build import CHART
from monitor.cli.main import parser
from replay.store import Store, open_store, queue, upgrade
from replay.store.costs import gpu
from replay.store.queue import Outcome, RunRequest
from tests.helm.render import Manifest, manifests, merged, of_kind, render, values_of
from tests.helm.test_chart import pods
from tests.replay.store.postgresql import PASSWORD, running

SQLITE = values_of(CHART / "ci" / "replay-values.yaml")
JOBS = values_of(CHART / "ci" / "replay-gpu-values.yaml")
ENDPOINT = {"kind": "local-chat-completions", "base_url": "http://vllm.models.svc:8000/v1"}
POSTGRES = {"url": "postgresql://plumbline@postgres.db.svc/plumbline"}
ENTRY = "registry.example.com/plumbline:2.1"


def replaying(base: dict[str, Any] = JOBS, **values: Any) -> list[Manifest]:
    """Return the manifests of values with replays, overridden by others."""
    return manifests(merged(base, values))


def job(**values: Any) -> dict[str, Any]:
    """Return the spec of the ScaledJob."""
    [found] = of_kind(replaying(**values), "ScaledJob")
    spec: dict[str, Any] = found["spec"]
    return spec


def images(found: list[Manifest]) -> dict[str, str]:
    """Return the image by the last argument of each pod."""
    containers = [pod["containers"][0] for pod in pods(found)]
    return {each["args"][-1]: each["image"] for each in containers}


def test_jobs_scale_on_the_queue_and_not_on_a_lag() -> None:
    """The trigger queries the store, with a password from the Secret; updates end no replay."""
    found = replaying(autoscaling={"enabled": True})
    [scaled] = of_kind(found, "ScaledJob")
    [trigger] = scaled["spec"]["triggers"]
    settings = trigger["metadata"]
    assert trigger["type"] == "postgresql"
    assert {key: settings[key] for key in ("host", "port", "userName", "dbName", "sslmode")} == {
        "host": "postgres.db.svc",
        "port": "5433",
        "userName": "plumbline",
        "dbName": "plumbline",
        "sslmode": "require",
    }
    [authentication] = of_kind(found, "TriggerAuthentication")
    assert trigger["authenticationRef"]["name"] == authentication["metadata"]["name"]
    assert authentication["spec"]["secretTargetRef"] == [
        {"parameter": "password", "name": "plumbline-replay", "key": "store"}
    ]
    spec = scaled["spec"]
    assert (spec["rollout"], spec["maxReplicaCount"]) == ({"strategy": "gradual"}, 3)
    target = spec["jobTargetRef"]
    assert (target["activeDeadlineSeconds"], target["backoffLimit"]) == (7200, 3)
    assert target["template"]["spec"]["restartPolicy"] == "Never"
    scaled_by_lag = {each["metadata"]["name"] for each in of_kind(found, "ScaledObject")}
    assert scaled_by_lag == {"demo-plumbline-ingest", "demo-plumbline-detect"}


def test_jobs_have_the_gpu_and_the_role_only_queues() -> None:
    """GPUs, tolerations and the runtime class are those of the jobs; the role has no worker."""
    *_, role, work = pods(replaying())
    assert work["containers"][0]["args"][:2] == ["replay", "work"]
    assert work["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert (work["tolerations"][0]["key"], work["runtimeClassName"]) == ("nvidia.com/gpu", "nvidia")
    assert "nvidia.com/gpu" not in str(role["containers"][0]["resources"])
    environment = {each["name"]: each["value"] for each in role["containers"][0]["env"]}
    assert environment["PLUMBLINE__REPLAY__WORKERS"] == "0"
    assert "WORKERS" not in str(work["containers"][0]["env"])
    [upgrading] = role["initContainers"]
    assert upgrading["args"][:2] == ["db", "upgrade"]
    assert "initContainers" not in work


@pytest.mark.parametrize("values", [SQLITE, JOBS], ids=["file", "jobs"])
def test_the_command_line_accepts_the_arguments_of_the_pods(values: dict[str, Any]) -> None:
    """Roles, jobs and the upgrade of the store are commands of this version."""
    found = [
        container["args"]
        for pod in pods(manifests(values))
        for container in (*pod["containers"], *pod.get("initContainers", []))
    ]
    assert {arguments[0] for arguments in found} <= {"run", "replay", "db"}
    for arguments in found:
        parsed = parser().parse_args(arguments)
        assert str(parsed.config) == "/etc/plumbline/plumbline.yaml"


def test_an_authentication_of_the_user_replaces_that_of_the_chart() -> None:
    """With its own TriggerAuthentication the chart creates none."""
    found = replaying(replay={"jobs": {"authenticationRef": "store"}})
    assert of_kind(found, "TriggerAuthentication") == []
    [scaled] = of_kind(found, "ScaledJob")
    assert scaled["spec"]["triggers"][0]["authenticationRef"] == {"name": "store"}


def test_only_pods_that_replay_run_the_larger_image() -> None:
    """The image has the suffix that replay.image names, or its own digest."""
    assert images(replaying()) == {
        "--roles=ingest": ENTRY,
        "--roles=detect": ENTRY,
        "--roles=replay": f"{ENTRY}-replay",
        "--config=/etc/plumbline/plumbline.yaml": f"{ENTRY}-replay-gpu",
    }
    [image] = images(replaying(SQLITE)).values()
    assert image == f"{ENTRY}-replay"
    ours, theirs = (f"sha256:{digit * 64}" for digit in "12")
    found = images(replaying(image={"digest": ours, "replayDigest": theirs}))
    assert found["--roles=detect"] == f"registry.example.com/plumbline@{ours}"
    assert found["--roles=replay"] == f"registry.example.com/plumbline@{theirs}"


def test_a_pod_that_judges_and_replays_has_the_image_of_replays() -> None:
    """It contains the packages of judges as well."""
    judges = {"checks": {"short": {"kind": "length", "max_chars": 100}}}
    [image] = images(replaying(SQLITE, config={"judges": judges})).values()
    assert image == f"{ENTRY}-replay"


def test_a_store_in_a_file_has_one_pod_at_a_time() -> None:
    """The file is on a volume, and an update ends the old pod before it starts the new one."""
    [workload] = of_kind(replaying(SQLITE), "Deployment")
    assert workload["spec"]["strategy"] == {"type": "Recreate"}
    spec = workload["spec"]["template"]["spec"]
    assert {"name": "store", "persistentVolumeClaim": {"claimName": "plumbline-store"}} in (
        spec["volumes"]
    )
    assert "initContainers" not in spec
    [deployed] = of_kind(
        replaying(SQLITE, config={"store": POSTGRES}, replay={"storeClaim": ""}), "Deployment"
    )
    assert deployed["spec"]["strategy"]["type"] == "RollingUpdate"


def test_pods_that_replay_reach_store_endpoints_and_actions_only() -> None:
    """Their policy opens the port of PostgreSQL, of each endpoint and of each webhook."""
    every, own = of_kind(replaying(), "NetworkPolicy")
    [expression] = own["spec"]["podSelector"]["matchExpressions"]
    assert set(expression["values"]) == {"together", "replay", "replay-job"}
    store, actions = own["spec"]["egress"]
    assert store == {
        "ports": [{"protocol": "TCP", "port": 5433}],
        "to": [{"ipBlock": {"cidr": "10.30.1.0/24"}}],
    }
    assert actions["ports"] == [{"protocol": "TCP", "port": 8443}]
    assert "5433" not in str(every)
    models = {"model": {**ENDPOINT, "api_key_env": None}, "models": {"b": ENDPOINT}}
    _, own = of_kind(replaying(SQLITE, config={"replay": models}), "NetworkPolicy")
    [endpoint] = own["spec"]["egress"]
    assert endpoint["ports"] == [{"protocol": "TCP", "port": 8000}]
    assert endpoint["to"] == SQLITE["networkPolicy"]["replayTo"]


def test_without_a_model_nothing_changes() -> None:
    """A section replay without a model starts no pods, and opens no port."""
    values = merged(JOBS, {"config": {"replay": {"model": None}}})
    found = manifests(values)
    assert len(pods(found)) == 2
    assert len(of_kind(found, "NetworkPolicy")) == 1
    assert "replay-gpu" not in str(pods(found))


@pytest.mark.parametrize(
    ("base", "values", "message"),
    [
        (SQLITE, {"pods": {"together": {"replicas": 2}}}, "but pods.together.replicas is 2"),
        (SQLITE, {"autoscaling": {"enabled": True}}, "but autoscaling is enabled and mode is"),
        (
            SQLITE,
            {"mode": "split", "pods": {"replay": {"replicas": 3}}},
            "a file of SQLite that serves one process, but pods.replay.replicas is 3",
        ),
        (SQLITE, {"replay": {"jobs": {"enabled": True}}}, "but replay.jobs is enabled"),
        (SQLITE, {"replay": {"storeClaim": ""}}, "which a pod would lose with its end"),
        (SQLITE, {"config": {"store": {"url": "sqlite:////tmp/a.db"}}}, "would lose with its end"),
        (JOBS, {"replay": {"storeClaim": "x"}}, "remove the claim, which is for a file of SQLite"),
        (
            JOBS,
            {"config": {"store": {"url": "postgresql://u:hush@db/x"}}},
            "config.store.url contains a password",
        ),
        (
            JOBS,
            {"config": {"store": {"url": "postgresql://u@localhost/x"}}},
            "which in a pod is the pod itself: set a host of PostgreSQL",
        ),
        (JOBS, {"config": {"store": {"password": "hush"}}}, "config.store.password is a secret"),
        (
            JOBS,
            {"config": {"replay": {"actions": {"secret": "hush-hush-hush-hush"}}}},
            "config.replay.actions.secret is a secret and must not be in a ConfigMap",
        ),
        (JOBS, {"credentials": {"existingSecret": ""}}, "but no Secret is mounted"),
        (
            JOBS,
            {"config": {"store": {"password": None}}},
            "KEDA has no password of PostgreSQL: set config.store.password",
        ),
        (JOBS, {"replay": {"image": "replay"}}, "kind is hf, which loads weights by torch"),
        (
            JOBS,
            {"config": {"replay": {"model": ENDPOINT}}, "replay": {"image": "replay"}},
            "pods.replayJob.resources.limits has a GPU, which the image replay cannot use",
        ),
        (
            JOBS,
            {"replay": {"jobs": {"enabled": False}}},
            "is loaded on a GPU, but pods.replay.resources.limits has none",
        ),
        (
            JOBS,
            {"config": {"replay": {"model": {"kind": "vllm"}}}},
            "config.replay.model.kind is vllm, which no image contains",
        ),
        (
            SQLITE,
            {"config": {"replay": {"models": {"b": {"base_url": "http://127.0.0.1:1/v1"}}}}},
            "config.replay.models.b.base_url is http://127.0.0.1:1/v1, which in a pod is the pod",
        ),
        (SQLITE, {"extraEnv": []}, "api_key_env is SERVING_KEY, which is not in the environment"),
        (
            JOBS,
            {"replay": {"jobs": {"deadlineSeconds": 6000}}},
            "deadlineSeconds is 6000, but config.replay.deadline_minutes is 90: set at least 6300",
        ),
        (
            JOBS,
            {"config": {"replay": {"workers": 2}}},
            "remove it, because the jobs do",
        ),
        (JOBS, {"image": {"digest": f"sha256:{64 * '1'}"}}, "image.replayDigest is not: pods that"),
        (
            JOBS,
            {"image": {"replayDigest": f"sha256:{64 * '1'}"}},
            "image.replayDigest is set, but image.digest is not",
        ),
        (
            JOBS,
            {
                "mode": "together",
                "config": {"judges": {"checks": {"a": {"kind": "length", "max_chars": 9}}}},
                "replay": {"jobs": {"enabled": False}},
            },
            "replay.image is replay-gpu, which has no judges, but mode is together",
        ),
        (JOBS, {"pods": {"replay": {"replicas": 7}}}, "but config.kafka.partitions is 6"),
        (JOBS, {"replay": {"scratch": "much"}}, 'replay.scratch is "much"'),
        (
            SQLITE,
            {
                "extraEnv": [
                    *SQLITE["extraEnv"],
                    {"name": "PLUMBLINE__REPLAY__WORKERS", "value": "2"},
                ]
            },
            "which the chart reads itself: set config.replay.workers instead",
        ),
        (
            SQLITE,
            {"config": {"replay": {True: {"severity": "info"}}}},
            "additional properties 'true' not allowed",
        ),
    ],
    ids=lambda case: case[:40] if isinstance(case, str) else None,
)
def test_values_that_cannot_work_are_refused(
    base: dict[str, Any], values: dict[str, Any], message: str
) -> None:
    """The error says what to change, and shows no secret."""
    with pytest.raises(helm_python.HelmError) as raised:
        render(merged(base, values))
    assert message in str(raised.value)
    assert "hush" not in str(raised.value)


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    """Return an empty store in PostgreSQL."""
    with running() as server:
        url = server.create_database()
        upgrade(url, PASSWORD)
        with open_store(url, PASSWORD) as opened:
            yield opened


def test_the_query_counts_what_needs_a_job(store: Store) -> None:
    """Due and running replays count, not later or finished ones, or those without GPU time."""
    query = job()["triggers"][0]["metadata"]["query"]
    unlimited = job(config={"replay": {"budget": {"gpu_hours_per_day": None}}})
    free = unlimited["triggers"][0]["metadata"]["query"]
    assert "gpu_usage" not in free

    def counted(query: str) -> int:
        with store.read() as connection:
            found = connection.exec_driver_sql(query).scalar_one()
        return int(found)

    with store.write() as connection:
        now = connection.exec_driver_sql("SELECT extract(epoch FROM now())::float8").scalar_one()
        for number in range(4):
            request = RunRequest(
                alarm=f"a{number}",
                set_digest="s",
                model_digest="m",
                model="llama",
                trigger="drift",
                plan={},
                gpu=number > 0,
            )
            assert queue.enqueue(connection, request, now - 10 + (1_000 if number == 3 else 0))
    assert (counted(query), counted(free)) == (3, 3)
    with store.write() as connection:
        claim = queue.claim(connection, "w", now, 60.0, gpu=False)
        assert claim is not None
        lease = claim.lease
        gpu.use(connection, claim.run.id, 12 * 3600.0, now)
    assert (counted(query), counted(free)) == (1, 3)  # the running one; the others lack GPU time
    with store.write() as connection:
        queue.finish(connection, lease, Outcome(verdict="not_regressed"), now)
    assert (counted(query), counted(free)) == (0, 2)


def test_bare_on_is_a_boolean_for_helm() -> None:
    """The trap that the guide names: YAML 1.1 reads the key `on` as true."""
    assert yaml.safe_load("on: {}") == {True: {}}
    assert render(SQLITE)["configmap.yaml"].count('"on":') == 1


JUDGED = {
    "replay": {"rubric": "answer_quality"},
    "judges": {"model": "m", "client": {"api_key": {"file": "/etc/plumbline/credentials/judge"}}},
}


def test_pods_that_replay_reach_the_judge_that_scores_answers() -> None:
    """Only they, and only with a rubric; the provider may be limited to addresses."""
    peer = {"ipBlock": {"cidr": "10.9.0.0/16"}}
    network = {"enabled": True, "judgeTo": [peer]}
    for values, expected in (({}, 0), ({"config": JUDGED}, 1)):
        found = replaying(networkPolicy=network, **values)
        policies = [
            each["metadata"]["name"]
            for each in of_kind(found, "NetworkPolicy")
            for rule in each["spec"]["egress"]
            if rule.get("to") == [peer]
        ]
        assert len(policies) == expected
        assert all(name.endswith("-replay") for name in policies)


def test_a_judge_of_replays_needs_a_key() -> None:
    """As the role judge does."""
    values = {**JUDGED, "judges": {"model": "m"}}
    with pytest.raises(helm_python.HelmError, match="key of the judges' provider"):
        replaying(config=values)
