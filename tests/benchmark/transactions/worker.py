"""One instance in a process of its own: `python -m tests.benchmark.transactions.worker TASK` (a Task as JSON)."""

from __future__ import annotations

import logging
import sys

import uvloop

from tests.benchmark.transactions import aio, sync
from tests.benchmark.transactions.common import WAYS, Control, task_of


def main() -> None:
    logging.disable(logging.CRITICAL)
    task = task_of(sys.argv[1])
    control = Control(task.seconds)
    match WAYS.index(task.way):
        case 0 | 3:
            uvloop.run(aio.run(task, control, transactional=task.way == WAYS[0]))
        case 1:
            sync.run_group(task, control)
        case 2:
            sync.run_lanes(task, control)
    control.done()


if __name__ == "__main__":
    main()
