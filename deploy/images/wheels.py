"""The locked packages of the three services as wheels under build/wheels, so that the build itself needs no network.

They are fetched by pip in a container of the build image: the right Python decides what fits. How this machine reaches
its package index (pip's settings, its certificates, proxies) is lent to that container and gets into no layer.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from deploy.images.engine import Engine

__all__ = ["SERVICES", "ensure_wheels", "lent"]

SERVICES = ("ingest", "matcher", "notifier")
_FILES = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CONFIG_FILE", "PIP_CLIENT_CERT")
_VALUES = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "PIP_PROXY", "PIP_DEFAULT_TIMEOUT")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")


def lent(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Options of `docker run` that lend this machine's way to its index. Values go by name, never on a command line."""
    options = [f"--env={name}" for name in (*_FILES, *_VALUES, *_PROXIES) if environ.get(name)]
    files = {environ[name] for name in _FILES if environ.get(name) and Path(environ[name]).is_file()}
    if Path("/etc/pip.conf").is_file():
        files.add("/etc/pip.conf")
    return options + [f"--volume={file}:{file}:ro" for file in sorted(files)]


def ensure_wheels(engine: Engine, root: Path, build_image: str) -> None:
    """Bring build/wheels up to the locks. Raises BuildFailed."""
    locks = [root / "requirements" / f"{service}.txt" for service in SERVICES]
    wheels = root / "build" / "wheels"
    wanted = hashlib.sha256(engine.inspect(build_image)[0]["Id"].encode())
    for lock in locks:
        wanted.update(lock.read_bytes())
    stamp = wheels / ".stamp"
    if stamp.is_file() and stamp.read_text() == wanted.hexdigest():
        return
    sys.stderr.write("images: fetching the locked packages\n")
    wheels.mkdir(parents=True, exist_ok=True)
    for old in wheels.iterdir():
        old.unlink()
    command = ["python3", "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-cache-dir"]
    command += ["--only-binary=:all:", "--require-hashes", "--dest=/wheels"]
    for service in SERVICES:
        engine.run(
            *("run", "--rm", "--network=host", *lent()),
            *(f"--volume={root / 'requirements'}:/locks:ro", f"--volume={wheels}:/wheels"),
            *("--entrypoint=", build_image, *command, f"--requirement=/locks/{service}.txt"),
        )
    stamp.write_text(wanted.hexdigest())
