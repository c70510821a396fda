"""Settings: where they come from, in which order, and what is said of a file that cannot be read."""

from __future__ import annotations

import errno
import os
import ssl
from pathlib import Path

import pytest
import trustme
from faststream.security import SASLScram512
from pydantic import ValidationError

from services.notifier.adapters.postgres.access import database_of
from services.notifier.settings import NotifierSettings
from services.platform.errors import ConfigurationError
from services.platform.kafka.clients import client_options
from services.platform.kafka.security import broker_security
from services.platform.secret_files import SettingFileUnreadable
from services.platform.settings import PlatformSettings
from services.platform.tls import tls_context

NAMES = ("KAFKA_PASSWORD", "KAFKA_USERNAME", "SECRETS_DIR", "ALLOW_PLAINTEXT", "DATABASE_URL", "SECRETS_KEYS")


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of this machine's, and no .env."""
    for name in NAMES:
        monkeypatch.delenv(f"SALLYPORT_{name}", raising=False)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.chdir(tmp_path)


def test_from_the_environment_a_file_a_directory_dotenv_and_in_that_order(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def password() -> str:
        return PlatformSettings().kafka_password.get_secret_value()

    assert password() == ""
    (tmp_path / ".env").write_text("SALLYPORT_KAFKA_PASSWORD=dotenv\n")
    assert password() == "dotenv"
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    (mounted / "kafka_password").write_text("directory\n")
    monkeypatch.setenv("SALLYPORT_SECRETS_DIR", str(mounted))
    assert password() == "directory"
    (tmp_path / "one").write_text("file\r\n")
    monkeypatch.setenv("SALLYPORT_KAFKA_PASSWORD_FILE", str(tmp_path / "one"))
    assert password() == "file"
    monkeypatch.setenv("SALLYPORT_KAFKA_PASSWORD", "environment")
    assert password() == "environment"
    assert PlatformSettings(kafka_password="argument").kafka_password.get_secret_value() == "argument"


@pytest.mark.parametrize("variable", ["SALLYPORT_DATABASE_URL", "DATABASE_URL"])
def test_the_environment_comes_before_a_file_under_either_of_its_names(
    variable: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "database_url").write_text("postgresql://of-the-file/")
    monkeypatch.setenv("SALLYPORT_SECRETS_DIR", str(tmp_path))
    assert NotifierSettings().database_url.get_secret_value() == "postgresql://of-the-file/"
    monkeypatch.setenv(variable, "postgresql://of-the-environment/")
    assert NotifierSettings().database_url.get_secret_value() == "postgresql://of-the-environment/"


def test_a_file_may_hold_what_is_no_text_and_a_list(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secrets_keys").write_text("one\ntwo,three\n")
    (tmp_path / "allow_plaintext").write_text("true\n")
    (tmp_path / "KAFKA_USERNAME").write_text("not-ours")
    monkeypatch.setenv("SALLYPORT_SECRETS_DIR", str(tmp_path))
    settings = NotifierSettings()
    assert [key.get_secret_value() for key in settings.secrets_keys] == ["one", "two", "three"]
    assert settings.allow_plaintext is True and settings.kafka_username == ""


def test_a_file_that_is_not_there_or_no_text_is_named_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SALLYPORT_KAFKA_PASSWORD_FILE", str(tmp_path / "missing"))
    with pytest.raises(SettingFileUnreadable, match=r"SALLYPORT_KAFKA_PASSWORD_FILE: .*missing.*No such file") as found:
        PlatformSettings()
    assert found.value.code == "setting_file_unreadable"
    (tmp_path / "missing").write_bytes(b"hush\xff")
    with pytest.raises(SettingFileUnreadable) as found:
        PlatformSettings()
    assert "UTF-8" in str(found.value) and "hush" not in str(found.value)
    monkeypatch.delenv("SALLYPORT_KAFKA_PASSWORD_FILE")
    monkeypatch.setenv("SALLYPORT_SECRETS_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(SettingFileUnreadable, match="SALLYPORT_SECRETS_DIR"):
        PlatformSettings()


def test_a_directory_that_may_not_be_entered_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As pathlib has it for anybody but root, whose tests these may be."""

    def denied(path: Path, **_: object) -> bool:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setenv("SALLYPORT_SECRETS_DIR", str(tmp_path))
    monkeypatch.setattr(Path, "exists", denied)
    with pytest.raises(SettingFileUnreadable, match=r"SALLYPORT_SECRETS_DIR: .* cannot be read: Permission denied"):
        PlatformSettings()


def test_a_value_that_makes_no_sense_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SALLYPORT_ALLOW_PLAINTEXT", "hush-hush")
    with pytest.raises(ValidationError) as found:
        PlatformSettings()
    assert "allow_plaintext" in str(found.value).lower() and "hush" not in str(found.value)


def settings_of(**changes: object) -> PlatformSettings:
    return PlatformSettings(**{"kafka_username": "somebody", "kafka_password": "hush", **changes})  # type: ignore[arg-type]


def test_kafka_is_verified_and_logged_into_unless_plain_text_is_allowed() -> None:
    options = client_options(settings_of())
    assert options["security_protocol"] == "SASL_SSL" and options["sasl_mechanism"] == "SCRAM-SHA-512"
    assert options["sasl_plain_username"] == "somebody" and options["sasl_plain_password"] == "hush"
    context = options["ssl_context"]
    assert context.verify_mode is ssl.CERT_REQUIRED and context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert isinstance(broker_security(settings_of()), SASLScram512)
    plain = settings_of(kafka_username="", kafka_password="", allow_plaintext=True)
    assert client_options(plain)["security_protocol"] == "PLAINTEXT" and broker_security(plain) is None


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"kafka_username": ""}, "SALLYPORT_KAFKA_USERNAME"),
        ({"kafka_password": ""}, "SALLYPORT_KAFKA_PASSWORD"),
        ({"allow_plaintext": True}, "SALLYPORT_ALLOW_PLAINTEXT"),
        ({"kafka_ca_file": "/nowhere/ca.pem"}, "SALLYPORT_KAFKA_CA_FILE"),
    ],
)
def test_what_is_missing_or_contradicts_is_named(changes: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        client_options(settings_of(**changes))


def test_a_ca_file_is_read_again_when_it_was_replaced(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(file))
    first = tls_context(str(file), "X")
    assert tls_context(str(file), "X") is first
    file.unlink()
    trustme.CA().cert_pem.write_to_path(str(file))
    assert tls_context(str(file), "X") is not first
    file.write_text("no certificate")
    with pytest.raises(ConfigurationError, match="X: no CA certificates"):
        tls_context(str(file), "X")


def test_postgresql_is_verified_whatever_its_url_asks_for() -> None:
    def database(url: str, **changes: object) -> tuple[str, ssl.SSLContext | None]:
        found = database_of(NotifierSettings(database_url=url, **changes))  # type: ignore[arg-type]
        return found.url, found.tls

    url, tls = database("postgresql://u:p@host/name?sslmode=disable&application_name=a")
    assert url == "postgresql://u:p@host/name?application_name=a"
    assert tls is not None and tls.check_hostname and tls.verify_mode is ssl.CERT_REQUIRED
    assert database("postgresql://u:p@host/name", allow_plaintext=True) == ("postgresql://u:p@host/name", None)
    for wrong in ("", "mysql://host/name", "postgresql:///name"):
        with pytest.raises(ConfigurationError, match="SALLYPORT_DATABASE_URL"):
            database(wrong)
