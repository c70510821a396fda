"""`sallyport topics apply|check` on a real cluster: idempotent, and it refuses to lose data unless told to."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from contracts.catalog import TopicSpec, load_topics
from deploy.devstack.stack import StackInfo
from services.platform.errors import BrokerUnavailable, ConfigurationError
from services.platform.kafka.topics import TopicAdmin
from services.platform.operator import topics as command
from tests.support.plain import plain

DAY_MS = 86_400_000


class Cluster:
    """The command, on topics that only this test has."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, bootstrap_servers: str, suffix: str) -> None:
        self.bootstrap_servers = bootstrap_servers
        self.declared: dict[str, TopicSpec] = {}
        for name, spec in load_topics().items():
            own = f"{name}.{suffix}"
            self.declared[own] = replace(spec, name=own)
        monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", bootstrap_servers)
        monkeypatch.setenv("SALLYPORT_ALLOW_PLAINTEXT", "true")
        monkeypatch.setattr(command, "load_topics", lambda: self.declared)

    def name(self, topic: str) -> str:
        return next(name for name in self.declared if name.startswith(topic))

    def change(self, topic: str, **changed: object) -> str:
        name = self.name(topic)
        self.declared[name] = replace(self.declared[name], **changed)
        return name

    def found(self, name: str) -> tuple[int, dict[str, str]]:
        with TopicAdmin(plain(self.bootstrap_servers)) as admin:
            existing = admin.existing([name])[name]
        wanted = self.declared[name].config()
        return existing.partitions, {key: existing.config[key] for key in wanted}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, stack: StackInfo, suffix: str) -> Cluster:
    return Cluster(monkeypatch, stack.kafka_bootstrap_servers, suffix)


def test_apply_creates_every_topic_as_declared_and_then_has_nothing_to_do(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.check() == 1
    assert command.apply() == 0
    for name, spec in cluster.declared.items():
        assert cluster.found(name) == (spec.partitions, spec.config())
    assert command.check() == 0
    capsys.readouterr()
    assert command.apply() == 0
    assert "are as declared" in capsys.readouterr().out


def test_a_longer_retention_is_applied_and_leaves_other_settings_alone(cluster: Cluster) -> None:
    command.apply()
    before = cluster.found(cluster.name("rejects.v1"))[1]
    name = cluster.change("rejects.v1", retention_days=120)
    assert command.check() == 1
    assert command.apply() == 0
    assert cluster.found(name)[1] == before | {"retention.ms": str(120 * DAY_MS)}
    assert command.check() == 0


@pytest.mark.parametrize(
    ("topic", "changed", "after"),
    [
        ("custody.events.v1", {"retention_days": 30}, (12, {"retention.ms": str(30 * DAY_MS)})),
        ("reviews.v1", {"cleanup": "delete", "retention_days": 5}, (6, {"cleanup.policy": "delete"})),
        ("conflicts.v1", {"partitions": 8}, (8, {})),
    ],
)
def test_what_may_lose_data_is_refused_whole_and_done_when_it_is_allowed(
    cluster: Cluster, topic: str, changed: dict[str, object], after: tuple[int, dict[str, str]]
) -> None:
    command.apply()
    before = cluster.found(cluster.name(topic))
    harmless = cluster.change("rejects.v1", retention_days=120)
    name = cluster.change(topic, **changed)
    with pytest.raises(command.DestructiveChange, match=topic) as refused:
        command.apply()
    assert refused.value.code == "destructive_change"
    partitions, config = cluster.found(name)
    assert partitions == before[0]
    assert {key: config[key] for key in before[1]} == before[1]
    assert cluster.found(harmless)[1]["retention.ms"] == str(90 * DAY_MS), "half of it was applied"

    assert command.apply(allow_destructive=True) == 0
    partitions, config = cluster.found(name)
    assert partitions == after[0]
    assert after[1].items() <= config.items()
    assert command.check() == 0


def test_a_topic_cannot_lose_partitions_whatever_is_allowed(cluster: Cluster) -> None:
    command.apply()
    cluster.change("rejects.v1", retention_days=120)
    name = cluster.change("conflicts.v1", partitions=2)
    with pytest.raises(ConfigurationError, match="conflicts"):
        command.apply(allow_destructive=True)
    assert cluster.found(name)[0] == 6
    assert cluster.found(cluster.name("rejects.v1"))[1]["retention.ms"] == str(90 * DAY_MS), "half of it was applied"


def test_without_a_broker_it_says_so() -> None:
    with pytest.raises(BrokerUnavailable):
        TopicAdmin(plain("127.0.0.1:1"), timeout_ms=1000)
