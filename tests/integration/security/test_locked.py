"""Over locked doors: the whole path with the derived ACLs and no more, and what stays shut to whom."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from contracts.catalog import load_access, load_topics
from contracts.types.conflict import Stage
from deploy.demo.hartford import play_hartford
from deploy.demo.observe import Observer
from deploy.demo.play import Play
from deploy.demo.processes import NotReady, ProcessGroup
from deploy.demo.system import System
from deploy.demo.world.generate import generate
from deploy.devstack.locks import ADMIN, HOST
from deploy.devstack.stack import StackInfo
from services.ingest.adapters.roster_store import transactional_id
from services.notifier.adapters.postgres.access import Database, database_of
from services.notifier.settings import NotifierSettings
from services.platform.errors import BrokerUnavailable, ConfigurationError, KafkaNotAuthorised
from services.platform.kafka.acls import AclAdmin, default_principals, plan_acls
from services.platform.kafka.clients import make_broker, make_producer
from services.platform.kafka.doors import explained, knock
from services.platform.kafka.outlets import NotTaken, Outlet, OutRecord
from services.platform.operator.reading import read_to_end
from services.platform.settings import PlatformSettings
from tests.support.locked import Locked

pytestmark = pytest.mark.timeout(400)
SERVICES = ("ingest", "matcher", "notifier", "operator")


async def test_an_event_goes_the_whole_way_with_the_derived_acls_only(provisioned: Locked, tmp_path: Path) -> None:
    stack = provisioned.info
    logins = {name: provisioned.environ(f"sallyport-{name}") for name in SERVICES}
    options: Mapping[str, Any] = provisioned.locks.client_options(ADMIN)
    world = generate(31, 10)
    with (
        System(stack, tmp_path, logins=logins) as system,
        Observer(stack.kafka_bootstrap_servers, **options) as observer,
    ):
        told = await play_hartford(Play(system, observer), world.population)
        stages = [one.conflict.stage for one in told if one.conflict is not None]
        assert stages == [Stage.IN_CUSTODY, Stage.RELEASE_SCHEDULED, Stage.RELEASED, Stage.CLOSED]
        assert all(one.after_ms is not None for one in told if one.step.stage is not None)
        for service in system.services:
            service.wait_ready()
            assert all(
                provisioned.locks.passwords[user] not in service.log_text() for user in provisioned.locks.passwords
            )


def test_acls_are_applied_once_and_what_is_no_more_declared_is_taken_away(provisioned: Locked) -> None:
    principals = default_principals(load_access())
    wanted = plan_acls(load_topics(), load_access(), principals)
    with AclAdmin(provisioned.settings("sallyport-operator")) as admin:
        assert admin.existing(principals.values()) == wanted
    more = next(iter(wanted))
    extra = frozenset({*wanted, type(more)("User:sallyport-notifier", "topic", "conflicts.v1", "WRITE")})
    other = frozenset({type(more)("User:somebody-else", "topic", "conflicts.v1", "READ")})
    provisioned.grant(extra)
    provisioned.grant(other)
    with ProcessGroup(Path(provisioned.locks.directory).parent / "acls") as group:
        environment = provisioned.environ("sallyport-operator")
        with pytest.raises(NotReady, match=r"status 1.*WRITE"):
            group.run(["topics", "check", "--acls"], environment)
        assert "0 ACLs made, 1 taken away" in group.run(["topics", "apply", "--acls"], environment)
        assert "ACLs are as declared" in group.run(["topics", "apply", "--acls"], environment)
    with AclAdmin(provisioned.settings(ADMIN)) as admin:
        assert admin.existing(principals.values()) == wanted
        assert admin.existing(["User:somebody-else"]) == other, "not one of ours, and left alone"


async def write(settings: PlatformSettings, topic: str) -> BaseException | None:
    outlet = Outlet(settings, make_broker(settings), [topic])
    await outlet.start()
    try:
        return (await outlet.send([OutRecord(topic, b"key", b"value")]))[0]
    finally:
        await outlet.stop()


@pytest.mark.parametrize(
    ("user", "topic"),
    [
        ("sallyport-notifier", "conflicts.v1"),
        ("sallyport-ingest", "conflicts.v1"),
        ("sallyport-matcher", "registry.v1"),
        ("stranger", "custody.events.v1"),
    ],
)
async def test_nobody_writes_what_is_not_its_own(provisioned: Locked, user: str, topic: str) -> None:
    try:
        refused = await write(provisioned.settings(user), topic)
    except KafkaNotAuthorised:  # who may write nothing is not even given a producer id
        assert user == "stranger"
        return
    assert isinstance(refused, NotTaken), refused
    assert f"kafka_not_authorised: WRITE of topic {topic}" in str(refused)


@pytest.mark.parametrize(
    ("user", "topic"),
    [
        ("sallyport-ingest", "reviews.v1"),
        ("sallyport-notifier", "custody.events.v1"),
        ("sallyport-operator", "custody.events.v1"),
        ("stranger", "feeds.v1"),
    ],
)
async def test_nobody_reads_what_is_not_meant_for_it(provisioned: Locked, user: str, topic: str) -> None:
    # To who may describe a topic, as the operator may, an empty one has nothing to refuse.
    assert await write(provisioned.settings(ADMIN), topic) is None
    with pytest.raises(KafkaNotAuthorised, match=topic):
        await asyncio.wait_for(read_to_end(provisioned.settings(user), topic), 60)


@pytest.mark.parametrize(
    ("user", "name"),
    [
        ("sallyport-ingest", "sallyport-matcher-0"),
        ("sallyport-notifier", "sallyport-operator-breaker"),
        ("sallyport-matcher", transactional_id("CTHRTFD00")),
        ("stranger", "anything"),
    ],
)
async def test_nobody_fences_another(provisioned: Locked, user: str, name: str) -> None:
    settings = provisioned.settings(user)
    producer = make_producer(settings, transactional_id=name)
    try:
        await asyncio.wait_for(producer.start(), 60)
    except Exception as error:  # whatever aiokafka makes of it: ours is what counts
        assert isinstance(await explained(settings, error, name), KafkaNotAuthorised)
    else:
        pytest.fail(f"{user} may take {name} over")
    finally:
        await producer.stop()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"kafka_password": "wrong"}, "kafka_login_refused"),
        ({"kafka_username": "nobody"}, "kafka_login_refused"),
        ({"kafka_sasl_mechanism": "PLAIN"}, "kafka_login_refused"),
        ({"kafka_ca_file": ""}, "kafka_not_trusted"),
        ({"kafka_ca_file": "other"}, "kafka_not_trusted"),
        ({"kafka_bootstrap_servers": "127.0.0.1"}, "kafka_not_trusted"),
    ],
)
async def test_who_comes_with_the_wrong_key_is_told_why(locked: Locked, changes: dict[str, str], code: str) -> None:
    given = dict(changes)
    if given.get("kafka_ca_file"):
        given["kafka_ca_file"] = str(locked.locks.other_ca)
    if "kafka_bootstrap_servers" in given:
        given["kafka_bootstrap_servers"] += locked.info.kafka_bootstrap_servers.removeprefix(HOST)
    with pytest.raises(BrokerUnavailable) as found:
        await asyncio.wait_for(knock(locked.settings("sallyport-ingest", **given)), 60)
    assert found.value.code == code


async def test_plain_text_is_refused_on_both_sides(locked: Locked, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="SALLYPORT_KAFKA_USERNAME"):
        await knock(locked.settings("sallyport-ingest", kafka_username=""))
    plain = locked.settings("sallyport-ingest", kafka_username="", allow_plaintext=True, kafka_request_timeout_ms=2000)
    with pytest.raises(BrokerUnavailable):
        await asyncio.wait_for(knock(plain), 60)
    with ProcessGroup(tmp_path) as group, pytest.raises(NotReady, match=r"configuration.*SALLYPORT_KAFKA_USERNAME"):
        group.run(["ingest"], {"KAFKA_BOOTSTRAP_SERVERS": locked.info.kafka_bootstrap_servers})


async def connect(database: Database) -> Any:
    connection = await asyncpg.connect(database.url, timeout=60, **database.options())
    try:
        return await connection.fetchval("select 1")
    finally:
        await connection.close()


async def test_postgresql_is_verified_and_plain_text_turned_away(locked: Locked) -> None:
    url = locked.info.database_url

    def database(ca: Path, url: str = url) -> Database:
        settings = NotifierSettings(_env_file=None, database_url=url, database_ca_file=str(ca))
        return database_of(settings)

    assert await connect(database(locked.locks.ca)) == 1
    with pytest.raises(OSError, match="certificate verify failed"):
        await connect(database(locked.locks.other_ca))
    with pytest.raises(OSError, match="IP address mismatch"):
        await connect(database(locked.locks.ca, url.replace(f"@{HOST}:", "@127.0.0.1:")))
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError, match="no encryption"):
        await connect(Database(f"{url}?sslmode=disable"))
    with pytest.raises(asyncpg.InvalidPasswordError):
        await connect(database(locked.locks.ca, url.replace("sallyport:", "sallyport:x", 1)))


def test_the_stack_of_the_test_has_no_way_in_without_tls(locked: Locked) -> None:
    assert (
        locked.info.environ()
        == StackInfo(locked.info.kafka_bootstrap_servers, locked.info.database_url, plaintext=False).environ()
    )
    assert "SALLYPORT_ALLOW_PLAINTEXT" not in locked.info.environ()
