"""What these tests need: an engine, and the images of `make images`. Skipped where no engine is, and where nobody asked
for them (`make test-e2e` does, by SALLYPORT_E2E); asked for, a missing image is a failure."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.devstack.stack import checkout_root
from deploy.images.build import image_name, sbom_file
from deploy.images.engine import Engine, engine_problem
from deploy.images.wheels import SERVICES

Start = Callable[..., str]
LOCKED_DOWN = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges:true", "--tmpfs=/tmp")


@pytest.fixture(scope="session")
def engine() -> Engine:
    """An image that was built of other code would fail: `make test-e2e` builds them first, and says so."""
    problem = engine_problem() if os.environ.get("SALLYPORT_E2E") else "images of this checkout: make test-e2e"
    if problem is not None:
        pytest.skip(problem)
    return Engine()


@pytest.fixture(scope="session")
def images(engine: Engine) -> dict[str, str]:
    """Service -> image."""
    named = {service: image_name(service) for service in SERVICES}
    if missing := [image for image in named.values() if not engine.has_image(image)]:
        pytest.fail(f"no image {', '.join(missing)}: run `make images`")
    return named


@pytest.fixture(scope="session")
def servers(engine: Engine) -> tuple[str, str]:
    """The images of Kafka and PostgreSQL that the services meet, as `make test-e2e` names them."""
    named = [os.environ.get(f"SALLYPORT_TEST_{name}_IMAGE", "") for name in ("KAFKA", "POSTGRES")]
    if missing := [image or "?" for image in named if not image or not engine.has_image(image)]:
        pytest.fail(f"no image {', '.join(missing)} of Kafka or PostgreSQL: make test-e2e, or docs/testcontainers.md")
    return named[0], named[1]


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def image(images: dict[str, str], service: str) -> str:
    return images[service]


@pytest.fixture
def sbom(images: dict[str, str], service: str) -> dict[str, Any]:
    file: Path = sbom_file(checkout_root(), service)
    if not file.exists():
        pytest.fail(f"no {file.name}: run `make images`")
    document: dict[str, Any] = json.loads(file.read_text())
    return document


@pytest.fixture
def start(engine: Engine) -> Iterator[Start]:
    """Start a container, detached, from the arguments of `docker run`; its id. All are gone afterwards."""
    started: list[str] = []

    def run(*arguments: str) -> str:
        started.append(engine.text("run", "--detach", *arguments).strip())
        return started[-1]

    yield run
    for container in reversed(started):
        engine.run("rm", "--force", "--volumes", container, check=False)
