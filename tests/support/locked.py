"""One Kafka behind TLS, logins and ACLs, and PostgreSQL behind TLS, for the session; the topics and ACLs are ours."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from deploy.demo.processes import ProcessGroup
from deploy.devstack.locks import ADMIN, Locks
from deploy.devstack.stack import StackInfo, checkout_root
from deploy.devstack.supervisor import ephemeral
from services.platform.kafka.acls import AclAdmin, Binding
from services.platform.settings import PlatformSettings
from tests.support.tls_front import tls_front

__all__ = ["Locked"]


@dataclass(frozen=True)
class Locked:
    """info: of the servers; the database's is the address behind TLS."""

    info: StackInfo
    locks: Locks

    def login(self, user: str) -> dict[str, str]:
        """The settings that open Kafka for a user."""
        return {
            "SALLYPORT_KAFKA_USERNAME": user,
            "SALLYPORT_KAFKA_PASSWORD": self.locks.passwords[user],
            "SALLYPORT_KAFKA_CA_FILE": str(self.locks.ca),
        }

    def environ(self, user: str) -> dict[str, str]:
        """Everything a process of that user needs; quick to notice."""
        return {
            **self.info.environ(),
            **self.login(user),
            "SALLYPORT_DATABASE_CA_FILE": str(self.locks.ca),
            "SALLYPORT_PROBE_INTERVAL_S": "1",
        }

    def settings(self, user: str, **changes: object) -> PlatformSettings:
        given: dict[str, object] = {
            "kafka_bootstrap_servers": self.info.kafka_bootstrap_servers,
            "kafka_username": user,
            "kafka_password": self.locks.passwords[user],
            "kafka_ca_file": str(self.locks.ca),
            "kafka_request_timeout_ms": 5000,
        }
        return PlatformSettings(_env_file=None, **{**given, **changes})  # type: ignore[arg-type]

    def grant(self, wanted: frozenset[Binding]) -> None:
        """Make the ACLs of these principals just so."""
        with AclAdmin(self.settings(ADMIN)) as admin:
            admin.apply(wanted, admin.existing({binding.principal for binding in wanted}))


@pytest.fixture(scope="session")
def locked() -> Iterator[Locked]:
    root, name = checkout_root(), f"locked-{os.getpid()}"
    with ephemeral(root, name, locked=True) as info:
        locks = Locks.read(root / ".dev" / name / "locks")
        database = urlsplit(info.database_url)
        assert database.port is not None
        with tls_front(locks.certificate, locks.key, database.port) as port:
            url = database._replace(netloc=f"{database.username}:{database.password}@localhost:{port}").geturl()
            yield Locked(StackInfo(info.kafka_bootstrap_servers, url, plaintext=False), locks)


@pytest.fixture(scope="module")
def provisioned(locked: Locked) -> Locked:
    """With the topics and the ACLs of contracts/topics.yaml, applied by the command that an operator uses."""
    directory = checkout_root() / ".dev" / f"locked-{os.getpid()}" / "apply"
    with ProcessGroup(directory) as group:
        group.run(["topics", "apply", "--acls"], locked.environ(ADMIN))
    return locked
