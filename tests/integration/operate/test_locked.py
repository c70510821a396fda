"""An operator's commands and a change of passwords where Kafka is behind TLS, logins and ACLs (keys.md)."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from kafka.admin import KafkaAdminClient, ScramMechanism, UserScramCredentialUpsertion

from deploy.demo.processes import ProcessGroup
from deploy.devstack.locks import ADMIN
from services.platform.kafka.clients import client_options, make_producer
from tests.support.locked import Locked
from tests.support.waiting import wait_for
from tests.unit.notifier.conflicts import conflict

pytestmark = pytest.mark.timeout(400)


def run(doors: Locked, user: str, directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    directory.mkdir(parents=True, exist_ok=True)
    return subprocess.run(
        [sys.executable, "-m", "services.platform.cli", *arguments],
        env=ProcessGroup.environment(doors.environ(user)),
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


async def publish(doors: Locked, *values: bytes) -> None:
    """What the matcher published once."""
    producer = make_producer(doors.settings("sallyport-matcher"))
    await producer.start()
    try:
        for value in values:
            await producer.send_and_wait("conflicts.v1", value=value, key=b"det", partition=0)
    finally:
        await producer.stop()


def test_who_may_repair_what(provisioned: Locked, tmp_path: Path) -> None:
    """The notifier's login rewinds its own offsets, and the matcher's builds its state; a stranger does neither."""
    asyncio.run(publish(provisioned, msgspec.json.encode(conflict()), b"no conflict"))
    rewind = ("ledger", "rewind", "--since", "2026-01-01T00:00:00Z")
    for command in (rewind, ("state", "rebuild")):
        shut = run(provisioned, "stranger", tmp_path, *command)
        assert (shut.returncode, "Traceback" in shut.stderr) == (2, False), shut.stderr
    rewound = run(provisioned, "sallyport-notifier", tmp_path, *rewind)
    assert (rewound.returncode, "Traceback" in rewound.stderr) == (0, False), rewound.stderr
    built = run(provisioned, "sallyport-matcher", tmp_path, "state", "rebuild")
    assert (built.returncode, "Traceback" in built.stderr) == (0, False), built.stderr
    assert "record_unreadable" in built.stdout


def change_password(doors: Locked, user: str, password: str) -> None:
    admin = KafkaAdminClient(**client_options(doors.settings(ADMIN)))
    try:
        wanted = UserScramCredentialUpsertion(user, ScramMechanism.SCRAM_SHA_512, password, iterations=4096)
        admin.alter_user_scram_credentials([wanted])
    finally:
        admin.close()


def test_a_password_is_changed_and_the_service_takes_the_new_one_from_its_file(
    provisioned: Locked, tmp_path: Path
) -> None:
    user = "sallyport-ingest"
    old = provisioned.locks.passwords[user]
    file = tmp_path / "kafka_password"
    file.write_text(old)
    settings = {**provisioned.environ(user), "SALLYPORT_KAFKA_PASSWORD_FILE": str(file)}
    del settings["SALLYPORT_KAFKA_PASSWORD"]
    with ProcessGroup(tmp_path / "run") as group:
        ingest = group.service("ingest", settings)
        ingest.start()
        ingest.wait_ready()
        change_password(provisioned, user, "the-new-one")
        try:
            # Who is logged in stays so; a new connection needs the new password.
            assert ingest.get("/readyz")[0] == 200
            assert ingest.terminate() == 0
            ingest.start()
            wait_for(lambda: "kafka_login_refused" in ingest.get("/readyz")[1], "/readyz says why")
            ingest.terminate()
            file.write_text("the-new-one")
            ingest.start()
            ingest.wait_ready()
        finally:
            change_password(provisioned, user, old)  # the brokers are those of other tests too


def test_two_authorities_in_one_file_are_both_trusted(provisioned: Locked, tmp_path: Path) -> None:
    """So that servers change from one to the other while clients go on."""
    both = tmp_path / "both.pem"
    both.write_bytes(provisioned.locks.other_ca.read_bytes() + provisioned.locks.ca.read_bytes())
    for file, status in ((both, 0), (provisioned.locks.other_ca, 2)):
        done = subprocess.run(
            [sys.executable, "-m", "services.platform.cli", "topics", "check"],
            env=ProcessGroup.environment({**provisioned.environ(ADMIN), "SALLYPORT_KAFKA_CA_FILE": str(file)}),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == status, done.stderr
    assert "kafka_not_trusted" in done.stderr
