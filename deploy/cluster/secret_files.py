"""The secrets of a cluster by compose, as files: made once, each where it is missing, and never printed.

Nobody else on the machine gets into the directory (0700). The files inside can be read by everybody (0444): compose
mounts each by itself into the containers that it is for, whose users are others than ours. The authority's key is in
no container, and ours alone (0600).

To change one: remove its file, and `make up` again. A password of Kafka or PostgreSQL that a server has already stored
has to be changed there too (docs/operate/keys.md).
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from cryptography.fernet import Fernet

from deploy.cluster.certificates import issue, make_authority

__all__ = ["KAFKA_NODES", "KAFKA_USERS", "ensure_secrets", "scram_credential"]

KAFKA_NODES = ("kafka-1", "kafka-2", "kafka-3")
KAFKA_USERS = ("ingest", "matcher", "notifier", "operator")
_ITERATIONS = 8192
_CA_KEY = "ca-key.pem"


def scram_credential(user: str, password: str) -> str:
    """A SCRAM-SHA-512 credential as Kafka's storage tool takes it, salted: the password cannot be had from it
    (RFC 5802: SaltedPassword = Hi(password, salt, iterations))."""
    salt = secrets.token_bytes(24)
    salted = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ITERATIONS)
    encoded = [base64.b64encode(value).decode() for value in (salt, salted)]
    return f"SCRAM-SHA-512=[name={user},salt={encoded[0]},saltedpassword={encoded[1]},iterations={_ITERATIONS}]"


class _Files:
    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def once(self, name: str, make: Callable[[], bytes | str], mode: int = 0o444) -> bytes:
        """What is in the file; made now if there is none. It appears whole, or not at all."""
        path = self._directory / name
        if not path.exists():
            made = make()
            draft = path.with_name(f".{name}.new")
            draft.unlink(missing_ok=True)
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
                out.write(made if isinstance(made, bytes) else made.encode())
            draft.chmod(mode)
            draft.replace(path)
        return path.read_bytes()

    def pair(self, names: tuple[str, str], make: Callable[[], tuple[bytes, bytes]], modes: tuple[int, int]) -> None:
        """Two files that belong together: made anew both if one is missing."""
        if not all((self._directory / name).exists() for name in names):
            for name, made, mode in zip(names, make(), modes, strict=True):
                (self._directory / name).unlink(missing_ok=True)
                self.once(name, lambda made=made: made, mode)  # type: ignore[misc]


def _token() -> str:
    return secrets.token_urlsafe(24)


def ensure_secrets(directory: Path) -> None:
    """Make every file that `directory` does not have yet."""
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o700)
    files = _Files(directory)

    def of(name: str) -> str:
        return (directory / name).read_text()

    files.pair((_CA_KEY, "ca.pem"), make_authority, (0o600, 0o444))

    def certified(host: str) -> tuple[bytes, bytes]:
        return issue(of(_CA_KEY).encode(), of("ca.pem").encode(), host, ["localhost"])

    for node in KAFKA_NODES:
        files.once(f"{node}.pem", lambda node=node: b"".join(certified(node)))  # type: ignore[misc]
    files.pair(("postgres-key.pem", "postgres-cert.pem"), lambda: certified("postgres"), (0o444, 0o444))

    for user in KAFKA_USERS:
        files.once(f"{user}-kafka-password", _token)
    credentials = (scram_credential(f"sallyport-{user}", of(f"{user}-kafka-password")) for user in KAFKA_USERS)
    files.once("kafka-users", lambda: "".join(f"{line}\n" for line in credentials))
    # 16 random bytes as Kafka writes a UUID; one that began with '-' would look like an option.
    files.once("kafka-cluster-id", lambda: "A" + base64.urlsafe_b64encode(secrets.token_bytes(16)).decode()[1:22])

    files.once("postgres-admin-password", _token)
    files.once("postgres-password", _token)
    files.once("database-url", lambda: f"postgresql://sallyport:{of('postgres-password')}@postgres:5432/sallyport")
    files.once("secrets-keys", Fernet.generate_key)
    files.once("identity-search-token", _token)
    files.once("grafana-admin-password", _token)
    # Of the mail server, if it wants one: the operator writes it here.
    files.once("smtp-password", lambda: "")
