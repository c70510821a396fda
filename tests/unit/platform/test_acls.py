"""Who may do what, as contracts/topics.yaml says it; and what is said of a door that is shut."""

from __future__ import annotations

import ssl

import pytest
from aiokafka import errors as aio
from kafka import errors as sync

from contracts.catalog import load_access, load_topics
from services.ingest.adapters.roster_store import transactional_id
from services.matcher.settings import MatcherSettings
from services.notifier.settings import NotifierSettings
from services.platform.errors import (
    ConfigurationError,
    KafkaLoginRefused,
    KafkaNotAuthorised,
    KafkaNotTrusted,
    SallyportError,
)
from services.platform.kafka.acls import Binding, default_principals, plan_acls
from services.platform.kafka.doors import refusal
from services.platform.operator import topics
from services.platform.operator.breaker import TRANSACTIONAL_ID

PRINCIPALS = default_principals(load_access())


def of(name: str) -> set[tuple[str, str, str, bool]]:
    who = f"User:sallyport-{name}"
    plan = plan_acls(load_topics(), load_access(), PRINCIPALS)
    return {(b.operation, b.kind, b.name, b.prefixed) for b in plan if b.principal == who}


def test_a_service_may_what_topics_yaml_says_and_nothing_else() -> None:
    assert of("notifier") == {
        ("READ", "topic", "conflicts.v1", False),
        ("READ", "topic", "registry.v1", False),
        ("READ", "topic", "reviews.v1", False),
        ("WRITE", "topic", "notices.v1", False),
        ("WRITE", "topic", "rejects.v1", False),
        ("WRITE", "topic", "review.decisions.v1", False),
        ("READ", "group", "sallyport-notifier", False),
        ("READ", "group", "sallyport-notifier-reviews", False),
    }
    assert ("WRITE", "topic", "conflicts.v1", False) in of("matcher")
    assert not {("READ", "topic", "reviews.v1", False), ("WRITE", "topic", "conflicts.v1", False)} & of("ingest")
    for name in ("ingest", "matcher", "notifier"):
        assert {operation for operation, *_ in of(name)} == {"READ", "WRITE"}
        assert not any(kind == "cluster" for _, kind, _, _ in of(name))


def test_the_operator_makes_topics_and_acls_and_reads_only_what_its_commands_read() -> None:
    operator = of("operator")
    assert {op for op, kind, *_ in operator if kind == "cluster"} == {"ALTER", "DESCRIBE"}
    for topic in load_topics():
        assert ("CREATE", "topic", topic, False) in operator and ("DELETE", "topic", topic, False) not in operator
    read = {name for op, kind, name, _ in operator if (op, kind) == ("READ", "topic")}
    assert read == {name for name, spec in load_topics().items() if "operator" in spec.readers}
    assert not read & {"custody.events.v1", "detainers.v1", "conflicts.v1", "reviews.v1"}


def test_the_names_in_topics_yaml_are_those_that_the_services_use() -> None:
    access = load_access()
    assert access["matcher"].groups == (MatcherSettings().group_id,)
    assert access["matcher"].transactional_ids == (f"{MatcherSettings().group_id}-*",)
    group = NotifierSettings().group_id
    assert access["notifier"].groups == (group, f"{group}-reviews")
    assert access["ingest"].transactional_ids == (transactional_id("*"),)
    assert access["operator"].transactional_ids == (TRANSACTIONAL_ID,)
    assert {topic for spec in access.values() for topic in spec.reads} <= load_topics().keys()
    named = {name for spec in load_topics().values() for name in (*spec.writers, *spec.readers)}
    assert named <= access.keys()


def test_a_star_is_a_prefix_and_a_principal_may_be_another() -> None:
    plan = plan_acls(load_topics(), load_access(), {"matcher": "User:CN=matcher"})
    assert Binding("User:CN=matcher", "transactional_id", "sallyport-matcher-", "WRITE", True) in plan
    assert {binding.principal for binding in plan} == {"User:CN=matcher"}


@pytest.mark.parametrize("principals", [{"nobody": "User:x"}, {"matcher": "x"}, {"matcher": "User:"}])
def test_a_principal_that_is_none_is_refused(principals: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError):
        plan_acls(load_topics(), load_access(), principals)


def test_a_principal_that_is_none_is_refused_before_anything_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics, "TopicAdmin", lambda *_, **__: pytest.fail("the brokers were asked"))
    with pytest.raises(ConfigurationError, match="want a principal"):
        topics.apply(acls=True, principal=("matcher=somebody",))


@pytest.mark.parametrize(
    ("error", "ours", "code"),
    [
        (ssl.SSLCertVerificationError(1, "x"), KafkaNotTrusted, "kafka_not_trusted"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER]"), KafkaNotTrusted, "kafka_not_trusted"),
        (aio.SaslAuthenticationFailed(), KafkaLoginRefused, "kafka_login_refused"),
        (sync.SaslAuthenticationFailedError(), KafkaLoginRefused, "kafka_login_refused"),
        (aio.TopicAuthorizationFailedError(), KafkaNotAuthorised, "kafka_not_authorised"),
        (aio.TransactionalIdAuthorizationFailed(), KafkaNotAuthorised, "kafka_not_authorised"),
        (sync.ClusterAuthorizationFailedError(), KafkaNotAuthorised, "kafka_not_authorised"),
    ],
)
def test_a_shut_door_has_a_code_of_ours(error: BaseException, ours: type[SallyportError], code: str) -> None:
    if isinstance(error, ssl.SSLCertVerificationError):
        error.verify_message = "self-signed certificate"
    elif isinstance(error, ssl.SSLError):
        error.reason = "WRONG_VERSION_NUMBER"
    found = refusal(error, "localhost:9093")
    assert type(found) is ours and found.code == code and "localhost:9093" in str(found)
    assert found.retryable, "an ACL or a user may be made later"


def test_a_broker_that_is_away_is_no_shut_door() -> None:
    assert refusal(ConnectionRefusedError(), "x") is None
    assert refusal(aio.KafkaConnectionError(), "x") is None
