"""`sallyport dev up|down|status`: the development stack by hand."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from cyclopts import App
from rich.console import Console
from rich.table import Table

from deploy.devstack.errors import DevStackError
from deploy.devstack.stack import DevStack, checkout_root, stack_names

__all__ = ["app"]

app = App(name="dev", help="Kafka and PostgreSQL for development, under .dev/ of this checkout.")


@contextlib.contextmanager
def _one_line_errors() -> Iterator[None]:
    try:
        yield
    except DevStackError as error:
        sys.stderr.write(f"sallyport dev: {error}\n")
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        sys.stderr.write("sallyport dev: interrupted; what was being started is stopped\n")
        raise SystemExit(130) from None


@app.command
def up(name: str = "dev") -> None:
    """Start what does not run yet, and print where it serves. Data of earlier runs is kept.

    Parameters
    ----------
    name
        Of the stack; a checkout can have several.
    """
    progress = Console(stderr=True)
    with _one_line_errors(), progress.status("looking") as line:
        info = DevStack(checkout_root(), name, say=lambda text: line.update(f"{text} …")).up()
    for variable, value in info.environ().items():
        sys.stdout.write(f"export {variable}={value}\n")


@app.command
def down(name: str = "dev", *, all: bool = False, delete: bool = False) -> None:
    """Stop it. Data is kept.

    Parameters
    ----------
    name
        Of the stack.
    all
        Every stack of this checkout.
    delete
        Remove the data too.
    """
    root = checkout_root()
    with _one_line_errors():
        for each in stack_names(root) if all else [name]:
            DevStack(root, each).down(delete=delete)


@app.command
def status(name: str = "dev") -> None:
    """Say what runs, and where.

    Parameters
    ----------
    name
        Of the stack.
    """
    table = Table("part", "state", "address", "pid")
    for part in DevStack(checkout_root(), name).status():
        style = {"running": "green", "external": "cyan", "stopped": "dim"}[part.state]
        table.add_row(part.part, f"[{style}]{part.state}[/]", part.address or "-", str(part.pid or "-"))
    Console().print(table)


if __name__ == "__main__":
    app()
