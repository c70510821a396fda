"""The secrets of a cluster: complete, of the right shape, made once, and closed to others."""

from __future__ import annotations

import base64
import hashlib
import re
import ssl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.verification import PolicyBuilder, Store

from deploy.cluster.secret_files import KAFKA_NODES, KAFKA_USERS, ensure_secrets, scram_credential
from deploy.images.errors import AuthorityIncomplete

COMPOSE = Path(__file__).resolve().parents[3] / "deploy" / "compose.yaml"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("secrets")
    ensure_secrets(directory)
    return directory


def test_every_file_that_compose_mounts_is_made(made: Path) -> None:
    named = {Path(of["file"]).name for of in yaml.safe_load(COMPOSE.read_text())["secrets"].values()}
    assert named == {path.name for path in made.iterdir()} - {"ca-key.pem"}


def test_nobody_else_gets_in_and_the_key_of_the_authority_is_ours_alone(made: Path) -> None:
    assert made.stat().st_mode & 0o777 == 0o700
    assert (made / "ca-key.pem").stat().st_mode & 0o777 == 0o600
    assert {path.stat().st_mode & 0o777 for path in made.iterdir()} == {0o444, 0o600}


def test_what_is_there_is_kept_and_what_is_removed_is_made_anew(tmp_path: Path) -> None:
    ensure_secrets(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    (tmp_path / "kafka-2.pem").unlink()
    ensure_secrets(tmp_path)
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert {name for name in before if before[name] != after[name]} == {"kafka-2.pem"}
    assert before.keys() == after.keys()


def test_the_key_of_the_authority_may_be_kept_elsewhere_until_it_has_to_sign(tmp_path: Path) -> None:
    ensure_secrets(tmp_path)
    authority = (tmp_path / "ca.pem").read_bytes()
    key = (tmp_path / "ca-key.pem").rename(tmp_path.with_name("elsewhere"))
    ensure_secrets(tmp_path)
    (tmp_path / "postgres-cert.pem").unlink()
    with pytest.raises(AuthorityIncomplete, match=r"ca-key\.pem"):
        ensure_secrets(tmp_path)
    assert (tmp_path / "ca.pem").read_bytes() == authority, "what everybody trusts was replaced"
    key.rename(tmp_path / "ca-key.pem")
    ensure_secrets(tmp_path)
    assert (tmp_path / "ca.pem").read_bytes() == authority


@pytest.mark.parametrize("lost", [("ca.pem",), ("ca.pem", "ca-key.pem")])
def test_no_other_authority_is_made_beside_what_one_has_signed(tmp_path: Path, lost: tuple[str, ...]) -> None:
    ensure_secrets(tmp_path)
    for name in lost:
        (tmp_path / name).unlink()
    with pytest.raises(AuthorityIncomplete):
        ensure_secrets(tmp_path)
    for file in tmp_path.glob("*.pem"):
        file.unlink()
    ensure_secrets(tmp_path)
    assert len(list(tmp_path.glob("*.pem"))) == 7


def test_two_who_make_them_at_once_agree(tmp_path: Path) -> None:
    """Else what is derived, such as the brokers' credentials, may be of another password than the file has."""
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(ensure_secrets, tmp_path) for _ in range(4)]:
            done.result()
    assert not list(tmp_path.glob(".*")), "a draft was left"
    for user, line in zip(KAFKA_USERS, (tmp_path / "kafka-users").read_text().splitlines(), strict=True):
        salt, salted = (base64.b64decode(part) for part in re.findall(r"(?:salt|saltedpassword)=([^,]+)", line))
        password = (tmp_path / f"{user}-kafka-password").read_bytes()
        assert salted == hashlib.pbkdf2_hmac("sha512", password, salt, 8192)


@pytest.mark.parametrize("host", [*KAFKA_NODES, "postgres"])
def test_a_server_is_certified_for_its_own_name_only(made: Path, host: str) -> None:
    file = "postgres-cert.pem" if host == "postgres" else f"{host}.pem"
    (certificate,) = x509.load_pem_x509_certificates((made / file).read_bytes())
    verifier = PolicyBuilder().store(Store(x509.load_pem_x509_certificates((made / "ca.pem").read_bytes())))
    verifier.build_server_verifier(x509.DNSName(host)).verify(certificate, [])
    verifier.build_client_verifier().verify(certificate, [])
    with pytest.raises(x509.verification.VerificationError):
        verifier.build_server_verifier(x509.DNSName("kafka-9")).verify(certificate, [])
    assert certificate.subject.rfc4514_string() == f"CN={host}"


def test_kafka_reads_key_and_certificate_from_one_file(made: Path) -> None:
    pem = (made / "kafka-1.pem").read_bytes()
    key = load_pem_private_key(pem, None)
    assert key.public_key() == x509.load_pem_x509_certificate(pem).public_key()
    assert b"BEGIN PRIVATE KEY" in pem  # PKCS 8, the only form that Kafka takes
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(made / "kafka-1.pem")


def test_the_brokers_get_no_password(made: Path) -> None:
    credentials = (made / "kafka-users").read_text()
    for user in KAFKA_USERS:
        password = (made / f"{user}-kafka-password").read_text()
        assert f"name=sallyport-{user}," in credentials
        assert password not in credentials and len(password) >= 32


def test_a_credential_is_the_salted_password_of_rfc_5802() -> None:
    found = re.fullmatch(
        r"SCRAM-SHA-512=\[name=alice,salt=(.+),saltedpassword=(.+),iterations=8192\]", scram_credential("alice", "pw")
    )
    assert found is not None
    salt, salted = (base64.b64decode(part) for part in found.groups())
    # Hi() is PBKDF2 with HMAC as its function and one block (RFC 5802, 2.2).
    assert salted == hashlib.pbkdf2_hmac("sha512", b"pw", salt, 8192)
    assert scram_credential("alice", "pw") != scram_credential("alice", "pw")


def test_the_others_have_the_shape_that_they_need(made: Path) -> None:
    Fernet((made / "secrets-keys").read_bytes())
    password = (made / "postgres-password").read_text()
    assert (made / "database-url").read_text() == f"postgresql://sallyport:{password}@postgres:5432/sallyport"
    assert len(base64.urlsafe_b64decode((made / "kafka-cluster-id").read_text() + "==")) == 16
    assert (made / "smtp-password").read_text() == ""
