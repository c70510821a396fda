"""`make images`: the images of the three services with an SBOM each, and what each adds to its base.

From the environment:
    BASE_IMAGE, BUILD_IMAGE   instead of python:3.12-slim and python:3.12; if only the first is named, it must have pip
    SALLYPORT_TAG             of the images (dev)
    SALLYPORT_ENGINE          the engine's command (docker)

Where they are not named and cannot be fetched, bases are made of Debian's packages (bases.py).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from deploy.devstack.stack import checkout_root
from deploy.images.bases import ensure_base
from deploy.images.engine import Engine
from deploy.images.errors import ImagesError
from deploy.images.sbom import write_sbom
from deploy.images.wheels import SERVICES, ensure_wheels

__all__ = ["Built", "build_images", "image_name", "main", "may_be_older", "sbom_file"]

DEFAULT_BASE, DEFAULT_BUILD = "python:3.12-slim", "python:3.12"
WANTED_MB = 120
_REVISION = "org.opencontainers.image.revision"
_MADE_OF = (
    "services",
    "contracts",
    "requirements",
    "pyproject.toml",
    "LICENSE",
    "deploy/Containerfile",
    "deploy/images",
)


@dataclass(frozen=True)
class Built:
    """size_mb, added_mb: of the image, and beyond its base; megabytes of 10^6 bytes. packages: as its SBOM lists."""

    image: str
    base: str
    size_mb: float
    added_mb: float
    packages: int


def image_name(service: str, environ: Mapping[str, str] = os.environ) -> str:
    """Name and tag of a service's image."""
    return f"sallyport-{service}:{environ.get('SALLYPORT_TAG') or 'dev'}"


def sbom_file(root: Path, service: str) -> Path:
    return root / "build" / "sbom" / f"sallyport-{service}.cdx.json"


def _bases(engine: Engine, environ: Mapping[str, str]) -> tuple[str, str]:
    named, build = environ.get("BASE_IMAGE", ""), environ.get("BUILD_IMAGE", "")
    if named:
        return named, build or named
    if engine.find_image(DEFAULT_BASE) and (build or engine.find_image(DEFAULT_BUILD)):
        return DEFAULT_BASE, build or DEFAULT_BUILD
    return ensure_base(engine, "python"), build or ensure_base(engine, "build")


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


def _labels(root: Path, environ: Mapping[str, str]) -> dict[str, str]:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    revision = _git(root, "rev-parse", "HEAD") or "unknown"
    if _git(root, "status", "--porcelain", "--", *_MADE_OF):
        revision += "-changed"
    # The time of the commit, not of the build: the same sources give the same labels, and the build cache holds.
    stamp = _git(root, "log", "-1", "--format=%ct")
    created = datetime.fromtimestamp(int(stamp), UTC).isoformat() if stamp else "unknown"
    source = environ.get("SALLYPORT_SOURCE", "unknown")
    return {"VERSION": str(project["version"]), "REVISION": revision, "CREATED": created, "SOURCE": source}


def may_be_older(engine: Engine, root: Path, image: str) -> bool:
    """Whether what the image is made of is another in this checkout than in the commit that its label names, or may be:
    one that was built of changes in no commit does not say which. False where the checkout is not git's."""
    if not _git(root, "rev-parse", "HEAD"):
        return False
    built = (engine.inspect(image)[0]["Config"].get("Labels") or {}).get(_REVISION, "unknown")
    same = subprocess.run(["git", "-C", str(root), "diff", "--quiet", built, "--", *_MADE_OF], capture_output=True)
    return same.returncode != 0 or bool(_git(root, "status", "--porcelain", "--", *_MADE_OF))


def build_images(engine: Engine, root: Path, environ: Mapping[str, str] = os.environ) -> list[Built]:
    """Build what is not built yet, and write the SBOMs. Raises BuildFailed."""
    base, build_base = _bases(engine, environ)
    ensure_wheels(engine, root, build_base)
    arguments = {"BASE_IMAGE": base, "BUILD_IMAGE": build_base, **_labels(root, environ)}
    built: list[Built] = []
    for service in SERVICES:
        image = image_name(service, environ)
        sys.stderr.write(f"images: building {image} on {base}\n")
        file = root / "deploy" / "Containerfile"
        engine.build(image, root, file, target=service, arguments=arguments)
        packages = write_sbom(engine, image, f"sallyport-{service}", sbom_file(root, service))
        size, below = (engine.inspect(name)[0]["Size"] / 1e6 for name in (image, base))
        built.append(Built(image, base, size, size - below, packages))
    return built


def main() -> int:
    """Build all three and print the table. Status 1: something is missing, and the message says what."""
    root = checkout_root()
    try:
        built = build_images(Engine(), root)
    except ImagesError as error:
        sys.stderr.write(f"images: {error}\n")
        return 1
    table = Table(title=f"Images on {built[0].base}", title_justify="left")
    for column in ("image", "MB", "added to its base, MB", "packages"):
        table.add_column(column, justify="left" if column == "image" else "right")
    for one in built:
        added = f"{one.added_mb:.1f}" + ("" if one.added_mb <= WANTED_MB else f" (wanted: {WANTED_MB})")
        table.add_row(one.image, f"{one.size_mb:.1f}", added, str(one.packages))
    table.caption = "SBOMs: build/sbom/*.cdx.json"
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
