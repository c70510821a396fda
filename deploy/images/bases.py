"""Base images for where no registry of images can be reached: made of Debian's packages by debootstrap.

    python -m deploy.images.bases [python build java postgres prometheus] [--again]

They stand for python:3.12-slim and python:3.12, eclipse-temurin:21-jre, postgres:18 and prom/prometheus. Debian 12 has
Python 3.11, Java 17, PostgreSQL 15 and Prometheus 2.42, all within what Sallyport supports. Needs root, `debootstrap`
and Debian's package servers. A base that exists is kept; `--again` makes it anew, for its security updates.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.devstack.stack import checkout_root
from deploy.images.engine import Engine
from deploy.images.errors import BuildFailed, ImagesError

__all__ = ["BASES", "Base", "ensure_base", "main"]

SUITE = "bookworm"
_EVERY = ("ca-certificates", "netbase", "tzdata")
_UNNEEDED = ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache/apt", "var/lib/apt/lists", "var/log")


@dataclass(frozen=True)
class Base:
    """packages: beside a minimal Debian."""

    name: str
    packages: tuple[str, ...]

    @property
    def tag(self) -> str:
        return f"sallyport-base-{self.name}:{SUITE}"


BASES = {
    base.name: base
    for base in (
        Base("python", (*_EVERY, "python3")),
        Base("build", (*_EVERY, "python3", "python3-pip", "binutils")),
        Base("java", (*_EVERY, "openjdk-17-jre-headless")),
        Base("postgres", (*_EVERY, "postgresql")),
        Base("prometheus", ("ca-certificates", "prometheus")),
    )
}


def ensure_base(engine: Engine, name: str, *, again: bool = False) -> str:
    """The tag of a base, which is made if the engine does not have it. Raises BuildFailed."""
    base = BASES[name]
    if not again and engine.has_image(base.tag):
        return base.tag
    if shutil.which("debootstrap") is None or os.geteuid() != 0:
        raise BuildFailed(
            f"no image for '{name}' can be fetched, and making one needs root and debootstrap (apt install "
            "debootstrap): or name images that you have; docs/images.md lists the variables"
        )
    sys.stderr.write(f"images: making {base.tag} by debootstrap, once\n")
    cache = checkout_root() / "build" / "debs"
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="sallyport-base-") as scratch:
        root = Path(scratch) / "root"
        command = ["debootstrap", "--variant=minbase", f"--include={','.join(base.packages)}", f"--cache-dir={cache}"]
        done = subprocess.run([*command, SUITE, str(root)], capture_output=True, text=True)
        if done.returncode != 0:
            raise BuildFailed(f"debootstrap failed: {' '.join(done.stdout.split())[-500:]}")
        for unneeded in _UNNEEDED:
            for file in (root / unneeded).rglob("*"):
                if (file.is_symlink() or file.is_file()) and file.name != "copyright":
                    file.unlink()
        # Which mirror this machine uses is no business of an image.
        (root / "etc/apt/sources.list").unlink(missing_ok=True)
        _import(engine, root, base.tag)
    return base.tag


def _import(engine: Engine, root: Path, tag: str) -> None:
    packing = ["tar", "--numeric-owner", "-C", str(root), "-c", "."]
    with subprocess.Popen(packing, stdout=subprocess.PIPE) as packer:
        importer = subprocess.run([engine.command, "import", "-", tag], stdin=packer.stdout, capture_output=True)
        # The pipe is closed on leaving: as long as we hold it, tar would wait for an engine that has given up.
    if packer.returncode != 0 or importer.returncode != 0:
        raise BuildFailed(f"'{engine.command} import' failed: {importer.stderr.decode(errors='replace')[-300:]}")


def main(arguments: Sequence[str]) -> int:
    """Make the bases that are named, all by default, and print their tags."""
    names = [a for a in arguments if not a.startswith("-")] or list(BASES)
    if unknown := [n for n in names if n not in BASES]:
        sys.stderr.write(f"images: no base {', '.join(unknown)}; there are {', '.join(BASES)}\n")
        return 2
    try:
        engine = Engine()
        for name in names:
            sys.stdout.write(f"{ensure_base(engine, name, again='--again' in arguments)}\n")
    except ImagesError as error:
        sys.stderr.write(f"images: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
