"""`sallyport`: one command line for the services and for what an operator does.

Commands are loaded when they are asked for: an image that carries one service carries that one's packages only.
"""

from __future__ import annotations

import os
import signal
import sys

if sys.argv[1:2] in (["ingest"], ["matcher"], ["notifier"]):
    # What follows takes seconds to import, and the kernel drops a SIGTERM to process 1 as long as it has no handler.
    # Nothing is in hand until the service sets its own (service.py). Not for commands: what has not done its work must
    # not end with 0.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))

from cyclopts import App
from pydantic import ValidationError
from rich.console import Console

from services.platform.build import build_version
from services.platform.errors import ContractViolation, SallyportError

__all__ = ["app", "main"]

app = App(name="sallyport", help="Detainer notification on Kafka.", version=build_version)
for name, target, text in (
    ("ingest", "services.ingest.app:main", "Run the ingest service: HTTP in, Kafka out."),
    ("matcher", "services.matcher.app:main", "Run the matcher service: custody events meet detainers."),
    ("notifier", "services.notifier.app:main", "Run the notifier service: conflicts become notices."),
    ("feed", "services.ingest.cli:feed", "Send a roster file, or a stream of events, to ingest."),
    ("detainers", "services.ingest.cli:detainers", "Send detainers to ingest."),
    ("migrate", "services.notifier.cli:migrate", "Bring the notifier's database up to date."),
    ("secrets", "services.notifier.secrets_cli:app", "The key that webhook secrets are encrypted with."),
    ("identity", "services.matcher.identity_cli:app", "Who is this, how sure, and why."),
    ("topics", "services.platform.operator.topics:app", "Provision Kafka's topics."),
    ("registry", "services.platform.operator.registry:app", "Agencies, facilities and sources."),
    ("feeds", "services.platform.operator.feeds:app", "Which facilities are heard of, and which are silent."),
    ("breaker", "services.platform.operator.breaker:app", "Feeds that released too many at once."),
    (
        "contracts",
        "services.platform.operator.contracts:app",
        "AsyncAPI and OpenAPI documents of the services.",
    ),
    ("settings", "services.platform.operator.reference:app", "Every setting of every service, for docs/operate."),
    ("state", "services.matcher.state_cli:app", "The matcher's state: build it anew when it was lost."),
    ("ledger", "services.notifier.ledger_cli:app", "The notifier's ledger: read Kafka again after a restore."),
    ("dev", "deploy.devstack.cli:app", "The development stack: Kafka and PostgreSQL under .dev/."),
):
    app.command(target, name=name, help=text)

error_console = Console(stderr=True)


def main() -> None:
    """Entry point. Our own errors are one line with their code, and exit status 2; a bug keeps its traceback."""
    try:
        status = app(sys.argv[1:])
    except SallyportError as error:
        code = error.reason if isinstance(error, ContractViolation) else error.code
        error_console.print(f"[red]{code}[/red]: {error}", highlight=False, soft_wrap=True)
        sys.exit(2)
    except ValidationError as error:
        for found in error.errors(include_input=False, include_url=False):
            setting = f"SALLYPORT_{'_'.join(map(str, found['loc'])).upper().removeprefix('SALLYPORT_')}"
            error_console.print(f"[red]configuration[/red]: {setting}: {found['msg']}", highlight=False, soft_wrap=True)
        sys.exit(2)
    except ImportError as error:
        # Where a command is loaded from a module that is not there, cyclopts raises its own error from the true one.
        missing = error if isinstance(error, ModuleNotFoundError) else error.__cause__
        if not isinstance(missing, ModuleNotFoundError):
            raise
        error_console.print(
            f"[red]not_installed[/red]: this image does not carry the package {missing.name}",
            highlight=False,
            soft_wrap=True,
        )
        sys.exit(2)
    sys.exit(status if isinstance(status, int) else 0)


if __name__ == "__main__":
    main()
