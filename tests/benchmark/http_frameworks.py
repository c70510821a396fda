"""Which HTTP stack should the services stand on?  Evidence for docs/adr/0003-http-framework.md.

Each candidate runs as a service would run it: in a uvloop loop of ours, one process, access log off, our own SIGTERM
handler and a drain deadline of 1 s. It reads the whole body, decodes it with msgspec and answers 202. Server on core
0, load on core 1; rounds are interleaved and medians reported, for other people use the machine too. The load is wrk
where installed, otherwise an aiohttp client process, slower than the fastest servers: then trust the CPU figures.
"""

import argparse
import asyncio
import contextlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from rich.console import Console
from rich.table import Table

CONNECTIONS = 64
DRAIN_S = 1.0
GIVE_UP_S = 6.0  # a server that has not ended so long after SIGTERM is killed
OUT = Path(__file__).resolve().parents[2] / "build" / "bench" / "http_frameworks.json"

Stop = Callable[[], Awaitable[None]]
Results = dict[tuple[str, str], tuple[float, str]]  # (system, metric): (value, unit)
PATHS = ["/single", "/batch", "/slow"]


class Event(msgspec.Struct):
    id: str
    data: dict[str, str]


DECODERS = {"/single": msgspec.json.Decoder[Any](Event), "/batch": msgspec.json.Decoder[Any](list[Event])}


async def answer(path: str, body: bytes) -> bytes:
    """What every candidate does with a request, whatever read it; `/slow` waits the seconds in its body."""
    if path == "/slow":
        await asyncio.sleep(float(body))
        return b"{}"
    decoded = DECODERS[path].decode(body)
    events = decoded if isinstance(decoded, list) else [decoded]
    return msgspec.json.encode({"accepted": len(events), "id": events[-1].id})


def make_event(n: int) -> dict[str, Any]:
    """A CloudEvent of about 650 bytes, of no real person."""
    data = {f"field_{i:02}": f"value {n:06} of field {i:02}" for i in range(11)}
    return {"specversion": "1.0", "id": f"01J{n:023}", "source": "urn:sallyport:facility:ct-hartford",
            "type": "sallyport.custody.booked.v1", "time": "2026-01-01T00:00:00Z", "data": data}  # fmt: skip


# Imported by name: none of the candidates need be installed for the others to run.
use = importlib.import_module


def asgi_app(framework: str) -> Any:
    module = use(framework)
    types = (use("starlette.requests"), use("starlette.responses")) if framework == "starlette" else (module, module)
    request_type, response = types[0].Request, types[1].Response

    async def take(request: Any) -> Any:
        body = await answer(request.url.path, await request.body())
        return response(body, status_code=202, media_type="application/json")

    take.__annotations__ = {"request": request_type, "return": response}
    if framework == "litestar":
        return module.Litestar([module.post(PATHS)(take)], logging_config=None)
    if framework == "starlette":
        route = use("starlette.routing").Route
        return use("starlette.applications").Starlette(routes=[route(p, take, methods=["POST"]) for p in PATHS])
    app = module.FastAPI()
    [app.post(path)(take) for path in PATHS]
    return app


async def on_uvicorn(framework: str, port: int) -> Stop:
    uvicorn = use("uvicorn")
    config = uvicorn.Config(asgi_app(framework), port=port, loop="none", http="httptools", lifespan="off",
                            access_log=False, log_level="error", timeout_graceful_shutdown=int(DRAIN_S))  # fmt: skip
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server._serve())  # serve() would take the signals over; this is private API

    async def stop() -> None:
        server.should_exit = True
        await serving

    return stop


async def on_granian(framework: str, port: int) -> Stop:
    interface = use("granian.constants").Interfaces.ASGINL
    server = use("granian.server.embed").Server(asgi_app(framework), port=port, interface=interface, websockets=False)
    server.workers_kill_timeout = DRAIN_S  # the embedded server has no argument for it
    serving = asyncio.create_task(server.serve())

    async def stop() -> None:
        server.stop()
        await serving

    return stop


async def on_aiohttp(_framework: str, port: int) -> Stop:
    web = use("aiohttp.web")

    async def take(request: Any) -> Any:
        body = await answer(request.path, await request.read())
        return web.Response(body=body, status=202, content_type="application/json")

    app = web.Application(client_max_size=1 << 20)
    app.add_routes([web.post(p, take) for p in PATHS])
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=DRAIN_S)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return runner.cleanup  # type: ignore[no-any-return]


CANDIDATES: dict[str, tuple[Callable[[str, int], Awaitable[Stop]], tuple[str, ...]]] = {
    "fastapi/uvicorn": (on_uvicorn, ("fastapi", "uvicorn", "httptools")),
    "starlette/uvicorn": (on_uvicorn, ("starlette", "uvicorn", "httptools")),
    "starlette/granian": (on_granian, ("starlette", "granian")),
    "litestar/uvicorn": (on_uvicorn, ("litestar", "uvicorn", "httptools")),
    "litestar/granian": (on_granian, ("litestar", "granian")),
    "aiohttp.web": (on_aiohttp, ("aiohttp",)),
}


async def serve(name: str, port: int) -> None:
    """Run one candidate until SIGTERM, in a loop that is ours."""
    asked = asyncio.Event()
    stop = await CANDIDATES[name][0](name.partition("/")[0], port)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
    await asked.wait()
    await stop()


LUA = """
local f = io.open(os.getenv("BODY"), "rb"); wrk.body = f:read("*a"); f:close()
wrk.method = "POST"; wrk.headers["Content-Type"] = "application/json"
function done(s, latency)
  local bad = s.errors.status + s.errors.connect + s.errors.read + s.errors.write + s.errors.timeout
  io.write(string.format('\\nRESULT {"n": %d, "s": %f, "p50": %f, "p99": %f, "bad": %d}\\n', s.requests,
    s.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, bad))
end
"""


async def own_load(url: str, body: bytes, seconds: float) -> dict[str, float]:
    """The same load from an aiohttp client; the figures are those of wrk's script, times in milliseconds."""
    aiohttp, took, statuses = use("aiohttp"), [], []
    begun = time.perf_counter()

    async def one(session: Any) -> None:
        while (sent := time.perf_counter()) < begun + seconds:
            async with session.post(url, data=body) as response:
                await response.read()
            statuses.append(response.status)
            took.append((time.perf_counter() - sent) * 1e3)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(one(session) for _ in range(CONNECTIONS)))
    cuts, spent = statistics.quantiles(took, n=100), time.perf_counter() - begun
    return {"n": len(took), "s": spent, "p50": cuts[49], "p99": cuts[98], "bad": len(took) - statuses.count(202)}


def pinned(core: int, *argv: str) -> list[str]:
    return ["taskset", "-c", str(core), *argv] if shutil.which("taskset") and (os.cpu_count() or 1) > 1 else [*argv]


def load(url: str, body: Path, seconds: float) -> dict[str, float]:
    argv = [sys.executable, __file__, "--load", url, str(seconds)]
    if shutil.which("wrk"):
        lua = body.with_name("load.lua")
        lua.write_text(LUA)
        argv = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", "-s", str(lua), url]
    os.environ["BODY"] = str(body)  # inherited by either
    out = subprocess.run(pinned(1, *argv), capture_output=True, text=True, check=True).stdout
    result: dict[str, float] = json.loads(out.rpartition("RESULT ")[2])
    assert result["n"] and not result["bad"], f"{url}: {result}"
    return result


def cpu_s(pid: int) -> float:  # of all its threads; Linux
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def start_server(name: str) -> tuple[subprocess.Popen[bytes], int]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    argv = pinned(0, sys.executable, __file__, "--serve", name, str(port))
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 15
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return process, port
        time.sleep(0.02)
    process.kill()
    raise RuntimeError(f"does not serve; to see why: {' '.join(argv)}")


def ended_after(process: subprocess.Popen[bytes]) -> float:
    """Seconds from SIGTERM to the end of the process; one that does not end is killed."""
    begun = time.monotonic()
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(GIVE_UP_S)
    process.kill()
    process.wait()
    return time.monotonic() - begun


def drain(name: str, handler_s: float) -> tuple[int, float]:
    """SIGTERM with 16 requests of `handler_s` in flight: how many were answered 202, and when the process ended."""
    process, port = start_server(name)
    clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(16)]
    for client in clients:
        client.settimeout(GIVE_UP_S)
        client.sendall(b"POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n%04.1f" % handler_s)
    time.sleep(0.2)
    took, answered = ended_after(process), 0
    for client in clients:
        with client, contextlib.suppress(OSError):
            answered += client.recv(4096).startswith(b"HTTP/1.1 202")
    return answered, took


def measure(names: list[str], rounds: int, seconds: float, folder: Path) -> Results:
    runs: dict[tuple[str, str, str], list[float]] = {}
    (folder / "single").write_text(json.dumps(make_event(0)))
    (folder / "batch").write_text(json.dumps([make_event(i) for i in range(100)]))
    for _ in range(rounds):
        for name in names:
            process, port = start_server(name)
            for body in ("single", "batch"):
                load(url := f"http://127.0.0.1:{port}/{body}", folder / body, 1)  # warm up
                before = cpu_s(process.pid)
                r = load(url, folder / body, seconds)
                spent_us = (cpu_s(process.pid) - before) * 1e6
                row = [("requests_per_s", "1/s", r["n"] / r["s"]), ("p50_ms", "ms", r["p50"])]
                for metric, unit, value in (*row, ("p99_ms", "ms", r["p99"]), ("cpu_us", "us", spent_us / r["n"])):
                    runs.setdefault((name, f"{body}_{metric}", unit), []).append(value)
            ended_after(process)
    medians: Results = {(s, metric): (statistics.median(v), unit) for (s, metric, unit), v in runs.items()}
    for name in names:
        medians[name, "drain_answered_of_16"] = (drain(name, 0.6)[0], "requests")
        medians[name, "hung_handler_end_s"] = (drain(name, 30)[1], "s")
    return medians


def report(names: list[str], results: Results) -> None:
    table = Table("", *names, title=f"medians; {CONNECTIONS} connections, one core; drain deadline {DRAIN_S:g} s")
    for metric in dict.fromkeys(metric for _, metric in results):
        values = [results[name, metric][0] for name in names]
        table.add_row(metric, *(f"{v:,.{0 if v >= 100 else 2}f}" for v in values))
    Console(width=None if sys.stdout.isatty() else 140).print(table)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"system": s, "metric": m, "value": round(v, 3), "unit": u} for (s, m), (v, u) in results.items()]
    OUT.write_text(json.dumps(rows, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--serve", nargs=2, metavar=("CANDIDATE", "PORT"), help="used by the script itself")
    parser.add_argument("--load", nargs=2, metavar=("URL", "SECONDS"), help="used by the script itself")
    args = parser.parse_args()
    if args.serve:
        return uvloop.run(serve(args.serve[0], int(args.serve[1])))
    if args.load:
        body = Path(os.environ["BODY"]).read_bytes()
        return print("RESULT", json.dumps(uvloop.run(own_load(args.load[0], body, float(args.load[1])))))
    missing = {n: [m for m in c[1] if importlib.util.find_spec(m) is None] for n, c in CANDIDATES.items()}
    for name in filter(missing.get, missing):
        print(f"skipped: {name} ({', '.join(missing[name])} not installed)")
    if not shutil.which("wrk"):
        print("wrk is not installed: the load comes from an aiohttp client, which is slower; trust the CPU figures")
    names = [name for name in missing if not missing[name]]
    with tempfile.TemporaryDirectory() as folder:
        return report(names, measure(names, args.rounds, args.seconds, Path(folder)))


if __name__ == "__main__":
    main()
