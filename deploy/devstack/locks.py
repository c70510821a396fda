"""A Kafka behind locks: certificates made on the spot, users with passwords, and what Kafka is told.

    with ephemeral(root, name, locked=True) as info:
        locks = Locks.read(root / ".dev" / name / "locks")

Its clients have to call it `localhost`: the certificate names nothing else, so that `127.0.0.1` is a name that does not
match. Needs the packages trustme and cryptography, as the tests do.
"""

from __future__ import annotations

import json
import secrets
import ssl
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ADMIN", "HOST", "USERS", "Locks"]

HOST = "localhost"
ADMIN = "admin"
"""The super user of clients. The broker itself is `broker`, which nobody logs in as from outside."""
USERS = ("sallyport-ingest", "sallyport-matcher", "sallyport-notifier", "sallyport-operator", "stranger")
MECHANISM = "SCRAM-SHA-512"


@dataclass(frozen=True, slots=True)
class Locks:
    """directory: holds the files. passwords: of Kafka's users, by name."""

    directory: Path
    passwords: dict[str, str]

    @property
    def ca(self) -> Path:
        """The authority that a client has to trust."""
        return self.directory / "ca.pem"

    @property
    def other_ca(self) -> Path:
        """An authority that signed nothing here."""
        return self.directory / "other-ca.pem"

    @property
    def certificate(self) -> Path:
        return self.directory / "server.crt"

    @property
    def key(self) -> Path:
        return self.directory / "server.key"

    @classmethod
    def make(cls, directory: Path) -> Locks:
        """Those of the directory; made where there are none."""
        if not (directory / "passwords.json").exists():
            import trustme
            from cryptography.hazmat.primitives.serialization import (
                Encoding,
                NoEncryption,
                PrivateFormat,
                load_pem_private_key,
            )

            directory.mkdir(parents=True, exist_ok=True)
            authority = trustme.CA()
            leaf = authority.issue_cert(HOST)
            # Kafka reads PKCS#8 only.
            key = load_pem_private_key(leaf.private_key_pem.bytes(), None)
            pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            chain = b"".join(blob.bytes() for blob in leaf.cert_chain_pems)
            authority.cert_pem.write_to_path(str(directory / "ca.pem"))
            trustme.CA().cert_pem.write_to_path(str(directory / "other-ca.pem"))
            (directory / "server.crt").write_bytes(chain)
            for name, content in (("server.key", pem), ("kafka.pem", pem + chain)):
                (directory / name).touch(mode=0o600)
                (directory / name).write_bytes(content)
            passwords = {name: secrets.token_hex(12) for name in ("broker", ADMIN, *USERS)}
            (directory / "passwords.json").touch(mode=0o600)
            (directory / "passwords.json").write_text(json.dumps(passwords))
        return cls.read(directory)

    @classmethod
    def read(cls, directory: Path) -> Locks:
        return cls(directory, json.loads((directory / "passwords.json").read_text()))

    def kafka_settings(self, port: int, controller_port: int) -> dict[str, str]:
        """server.properties of one node: every listener wants a login, and what no ACL allows is refused."""
        scram = "org.apache.kafka.common.security.scram.ScramLoginModule"
        plain = "org.apache.kafka.common.security.plain.PlainLoginModule"
        own = self.passwords["broker"]
        return {
            "listeners": f"SASL_SSL://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
            "advertised.listeners": f"SASL_SSL://{HOST}:{port}",
            "controller.quorum.voters": f"1@{HOST}:{controller_port}",
            "listener.security.protocol.map": "SASL_SSL:SASL_SSL,CONTROLLER:SASL_SSL",
            "inter.broker.listener.name": "SASL_SSL",
            "sasl.enabled.mechanisms": MECHANISM,
            "sasl.mechanism.inter.broker.protocol": MECHANISM,
            f"listener.name.sasl_ssl.{MECHANISM.lower()}.sasl.jaas.config": (
                f'{scram} required username="broker" password="{own}";'
            ),
            # SCRAM's users are in the metadata, which the controller has to be reached for first.
            "sasl.mechanism.controller.protocol": "PLAIN",
            "listener.name.controller.sasl.enabled.mechanisms": "PLAIN",
            "listener.name.controller.plain.sasl.jaas.config": (
                f'{plain} required username="broker" password="{own}" user_broker="{own}";'
            ),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.directory / "kafka.pem"),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.ca),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": f"User:broker;User:{ADMIN}",
        }

    def kafka_users(self) -> list[str]:
        """Arguments of Kafka's StorageTool that make the users."""
        return [
            word
            for name, password in self.passwords.items()
            for word in ("--add-scram", f"{MECHANISM}=[name={name},password={password}]")
        ]

    def client_options(self, user: str = ADMIN) -> dict[str, object]:
        """kafka-python's and aiokafka's, for whoever is no service of ours."""
        return {
            "security_protocol": "SASL_SSL",
            "ssl_context": ssl.create_default_context(cafile=str(self.ca)),
            "sasl_mechanism": MECHANISM,
            "sasl_plain_username": user,
            "sasl_plain_password": self.passwords[user],
        }
