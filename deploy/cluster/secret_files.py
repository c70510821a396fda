"""The secrets of a cluster by compose, as files: made once, each where it is missing, and never printed.

Nobody else on the machine gets into the directory (0700). The files inside can be read by everybody (0444): compose
mounts each by itself into the containers that it is for, whose users are others than ours. The authority's key is in
no container, and ours alone (0600).

To change one: remove its file, and `make up` again. A password of Kafka or PostgreSQL that a server has already stored
has to be changed there too (docs/operate/keys.md). The authority is the exception: what it signed goes with it, or
nobody would trust anybody, so that a part of it is never made anew by itself.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

from cryptography.fernet import Fernet

from deploy.cluster.certificates import issue, make_authority
from deploy.images.errors import AuthorityIncomplete

__all__ = ["KAFKA_NODES", "KAFKA_USERS", "ensure_secrets", "scram_credential"]

KAFKA_NODES = ("kafka-1", "kafka-2", "kafka-3")
KAFKA_USERS = ("ingest", "matcher", "notifier", "operator")
_ITERATIONS = 8192
_CA_KEY, _CA = "ca-key.pem", "ca.pem"
_POSTGRES = ("postgres-key.pem", "postgres-cert.pem")
_SIGNED = (*(f"{node}.pem" for node in KAFKA_NODES), *_POSTGRES)


def scram_credential(user: str, password: str) -> str:
    """A SCRAM-SHA-512 credential as Kafka's storage tool takes it, salted (RFC 5802: SaltedPassword =
    Hi(password, salt, iterations)). The password cannot be had from it, but whoever has it can log in all the same."""
    salt = secrets.token_bytes(24)
    salted = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ITERATIONS)
    encoded = [base64.b64encode(value).decode() for value in (salt, salted)]
    return f"SCRAM-SHA-512=[name={user},salt={encoded[0]},saltedpassword={encoded[1]},iterations={_ITERATIONS}]"


class _Files:
    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def has(self, name: str) -> bool:
        return (self.directory / name).exists()

    def once(self, name: str, make: Callable[[], bytes | str], mode: int = 0o444) -> None:
        """Make the file if there is none. It appears whole, or not at all."""
        if self.has(name):
            return
        made = make()
        draft = self.directory / f".{name}.new"
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(made if isinstance(made, bytes) else made.encode())
            out.flush()
            os.fsync(out.fileno())
        draft.chmod(mode)
        draft.replace(self.directory / name)

    def pair(self, names: tuple[str, str], make: Callable[[], tuple[bytes, bytes]], modes: tuple[int, int]) -> None:
        """Two files that belong together: made anew both if one is missing."""
        if not all(map(self.has, names)):
            for name, made, mode in zip(names, make(), modes, strict=True):
                (self.directory / name).unlink(missing_ok=True)
                self.once(name, lambda made=made: made, mode)  # type: ignore[misc]


def _token() -> str:
    return secrets.token_urlsafe(24)


@contextlib.contextmanager
def _alone_in(directory: Path) -> Iterator[None]:
    """No other of us makes files in it meanwhile: two passwords of one name would end in two containers."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def ensure_secrets(directory: Path) -> None:
    """Make every file that `directory` does not have yet. Raises AuthorityIncomplete."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.chmod(0o700)
    with _alone_in(directory):
        _make_missing(directory)


def _ensure_authority(files: _Files) -> None:
    """A new one only where nothing is that another has signed. Its key may be kept elsewhere until it has to sign."""
    there = {name for name in (_CA_KEY, _CA, *_SIGNED) if files.has(name)}
    if _CA in there and (_CA_KEY in there or there.issuperset(_SIGNED)):
        return
    if _CA in there or not there.isdisjoint(_SIGNED):
        raise AuthorityIncomplete(
            f"the authority of the certificates in {files.directory} is not whole: put {_CA} and {_CA_KEY} back there, "
            "or, for a new one, `make down`, remove every .pem file there, and `make up`"
        )
    files.pair((_CA_KEY, _CA), make_authority, (0o600, 0o444))


def _make_missing(directory: Path) -> None:
    files = _Files(directory)

    def of(name: str) -> str:
        return (directory / name).read_text()

    _ensure_authority(files)

    def certified(host: str) -> tuple[bytes, bytes]:
        return issue(of(_CA_KEY).encode(), of(_CA).encode(), host, ["localhost"])

    for node in KAFKA_NODES:
        files.once(f"{node}.pem", lambda node=node: b"".join(certified(node)))  # type: ignore[misc]
    files.pair(_POSTGRES, lambda: certified("postgres"), (0o444, 0o444))

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
