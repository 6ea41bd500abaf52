"""Checks of a state topic with wrong settings, or that was made again."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from monitor.config.sections.kafka.section import KafkaConfig
from monitor.kafka.admin import TopicState
from monitor.roles import state_checks
from monitor.roles.state_checks import CHECK_SECONDS, StateTopicChecks

STATE, FEATURES = "plumbline.state", "plumbline.features"


class Topics:
    """The topics of the broker, and a clock."""

    def __init__(self, state: int, features: int, policy: str | None = "compact") -> None:
        self.found = {STATE: TopicState(state, "a"), FEATURES: TopicState(features, "b")}
        self.policy = policy
        self.now = 0.0

    def checks(self, monkeypatch: pytest.MonkeyPatch) -> StateTopicChecks:
        """Return checks of these topics."""
        monkeypatch.setattr(state_checks, "topic_states", lambda *_: dict(self.found))
        monkeypatch.setattr(state_checks, "cleanup_policy", lambda *_: self.policy)
        return StateTopicChecks(KafkaConfig(), lambda: self.now)


def test_right_topics_are_not_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal numbers of partitions and compaction are right; unknown settings are not an error."""
    for policy in ("compact", None):
        checks = Topics(4, 4, policy).checks(monkeypatch)
        with capture_logs() as lines:
            checks.start()
            assert checks.without_state([0, 3]) == []
        assert lines == []


@pytest.mark.parametrize("policy", ["delete", "compact,delete"])
def test_a_topic_that_is_not_compacted(policy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line contains the command that corrects it."""
    checks = Topics(4, 4, policy).checks(monkeypatch)
    with capture_logs() as lines:
        checks.start()
    (line,) = lines
    assert line["log_level"] == "error"
    assert line["command"] == (
        "kafka-configs.sh --bootstrap-server localhost:9092 --alter --entity-type topics"
        " --entity-name plumbline.state --add-config cleanup.policy=compact"
    )


@pytest.mark.parametrize(("state", "features"), [(2, 4), (1, 6)])
def test_fewer_partitions_than_features(
    state: int, features: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line names both topics and counts; the other partitions wait until there are enough."""
    topics = Topics(state, features)
    checks = topics.checks(monkeypatch)
    with capture_logs() as lines:
        checks.start()
    (line,) = lines
    assert (line["topic"], line["partitions"]) == (STATE, state)
    assert (line["features_topic"], line["features_partitions"]) == (FEATURES, features)
    assert line["command"] == (
        "kafka-topics.sh --bootstrap-server localhost:9092 --alter --topic plumbline.state"
        f" --partitions {features}"
    )
    assert checks.without_state(list(range(features))) == list(range(state, features))
    assert checks.check() == (False, False)
    topics.now += CHECK_SECONDS
    assert checks.check() == (False, False)
    topics.found[STATE] = TopicState(features, "a")
    topics.now += CHECK_SECONDS
    assert checks.check() == (False, True)


def test_more_partitions_than_features(monkeypatch: pytest.MonkeyPatch) -> None:
    """This is harmless: one warning."""
    checks = Topics(8, 4).checks(monkeypatch)
    with capture_logs() as lines:
        checks.start()
    assert [line["log_level"] for line in lines] == ["warning"]
    assert checks.without_state([3]) == []


def test_a_topic_that_was_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its id is another one. A topic that is away, or a broker without an answer, is not one."""
    topics = Topics(4, 4)
    checks = topics.checks(monkeypatch)
    checks.start()
    topics.now += CHECK_SECONDS
    assert checks.check() == (False, False)
    del topics.found[STATE]
    topics.now += CHECK_SECONDS
    assert checks.check() == (False, False)
    topics.found[STATE] = TopicState(4, "c")
    assert checks.check() == (False, False)
    topics.now += CHECK_SECONDS
    assert checks.check() == (True, False)
    topics.now += CHECK_SECONDS
    assert checks.check() == (False, False)


def test_the_id_of_the_feature_topic_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is that of the last answer: at the start, at an assignment and at each check."""
    topics = Topics(4, 4)
    checks = topics.checks(monkeypatch)
    assert checks.features_id == ""
    checks.start()
    assert checks.features_id == "b"
    topics.found[FEATURES] = TopicState(4, "c")
    checks.without_state([0])
    assert checks.features_id == "c"
    del topics.found[FEATURES]
    topics.now += CHECK_SECONDS
    assert checks.check() == (False, False)
    assert checks.features_id == "c"
    topics.found[FEATURES] = TopicState(4, "d")
    topics.now += CHECK_SECONDS
    assert checks.check() == (False, False)
    assert checks.features_id == "d"
