"""`make test-e2e`: the tests that need a container engine, one after the other.

    tests/images        the images of the services, built anew
    tests/e2e           the whole, on the cluster of deploy/compose.yaml
    tests/integration   on containers of this cluster's Kafka and PostgreSQL, by testcontainers (docs/testcontainers.md)

Arguments go to each run of pytest. Exit status 1: one failed. 2: no engine.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

from deploy.devstack.stack import checkout_root
from deploy.images.build import build_images
from deploy.images.engine import Engine
from deploy.images.errors import ImagesError
from deploy.images.thirdparty import ensure_thirdparty

__all__ = ["main"]


def _pytest(arguments: Sequence[str], environ: Mapping[str, str]) -> bool:
    command = [sys.executable, "-m", "pytest", *arguments, *sys.argv[1:]]
    return subprocess.run(command, env={**os.environ, **environ}).returncode == 0


def main() -> int:
    root = checkout_root()
    try:
        engine = Engine()
        build_images(engine, root)
        images = ensure_thirdparty(engine, root)
    except ImagesError as error:
        sys.stderr.write(f"{error.code}: {error}\n")
        return 2
    servers = {
        "SALLYPORT_TEST_KAFKA_IMAGE": images["KAFKA_IMAGE"],
        "SALLYPORT_TEST_POSTGRES_IMAGE": images["POSTGRES_IMAGE"],
    }
    on_containers = {
        **servers,
        "SALLYPORT_TEST_STACK": "testcontainers",
        "TESTCONTAINERS_RYUK_DISABLED": os.environ.get("TESTCONTAINERS_RYUK_DISABLED", "true"),
    }
    asked = {"SALLYPORT_E2E": "1"}
    passed = [
        _pytest(["tests/images"], {**asked, **servers}),
        _pytest(["-s", "tests/e2e"], asked),
        _pytest(["tests/integration", "--ignore=tests/integration/devstack"], on_containers),
    ]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
