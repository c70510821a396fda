"""A service that does as its argument says, for test_service.py: the runner is tested as the process that it is."""

from __future__ import annotations

import asyncio
import sys

from services.platform.errors import BrokerUnavailable
from services.platform.service import Stop, run
from services.platform.settings import PlatformSettings

NAME = "Exampleson"


class Probe:
    def __init__(self, stop: Stop, mode: str) -> None:
        self._stop, self._mode = stop, mode

    async def start(self) -> None:
        if self._mode == "start-hangs":
            print("started", flush=True)
            await asyncio.Event().wait()
        if self._mode == "start-fails":
            raise BrokerUnavailable("no broker answers")
        self._stop.spawn(self._work(), "work")
        print("started", flush=True)

    async def _work(self) -> None:
        if self._mode == "task-fails":
            raise ValueError(NAME)
        await asyncio.Event().wait()

    async def stop(self, deadline_s: float) -> None:
        print("stopping", flush=True)
        match self._mode:
            case "stop-hangs":
                await asyncio.Event().wait()
            case "stop-fails":
                raise ValueError(NAME)
            case _:
                await asyncio.sleep(0)
        print(f"drained within {deadline_s:g}", flush=True)


if __name__ == "__main__":
    mode = sys.argv[1]
    sys.exit(run("probe", PlatformSettings(drain_deadline_s=0.5), lambda stop: Probe(stop, mode)))
