"""G8: no personal data in logs. The name below must not be in any line, whichever way it tries."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from services.platform import logs
from services.platform.errors import ConfigurationError, SallyportError

NAME = "Exampleson"


class Output(io.StringIO):
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]


@pytest.fixture
def output(monkeypatch: pytest.MonkeyPatch) -> Iterator[Output]:
    """Logging set up as in a service, into a buffer; the process's own set-up is put back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    buffer = Output()
    monkeypatch.setattr(sys, "stdout", buffer)
    logs.configure("matcher", "matcher-1", "debug")
    yield buffer
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def failing(error: BaseException) -> Exception:
    """The error as it is after it was raised, with a traceback."""
    try:
        raise error
    except Exception as raised:
        return raised


def test_a_line_is_json_with_the_service_the_instance_and_a_time_in_utc(output: Output) -> None:
    logs.get_logger("t.line").info("event_accepted", event_id="evt-1", count=2)
    (line,) = output.lines()
    assert line["event"] == "event_accepted"
    assert (line["service"], line["instance"], line["level"], line["logger"]) == (
        "matcher",
        "matcher-1",
        "info",
        "t.line",
    )
    assert (line["event_id"], line["count"]) == ("evt-1", 2)
    assert line["timestamp"].endswith("Z")


def test_a_key_that_is_not_on_the_list_is_counted_and_not_written(output: Output) -> None:
    logs.get_logger("t.unknown").info("booked", surname=NAME, booking_number="1", event_id="evt-1")
    (line,) = output.lines()
    assert NAME not in output.getvalue()
    assert line["dropped_keys"] == 2
    assert line["event_id"] == "evt-1"


def test_strict_a_key_that_is_not_on_the_list_raises_where_it_is_logged(output: Output) -> None:
    logs.configure("matcher", "matcher-1", "debug", strict=True)
    with pytest.raises(AssertionError, match="surname"):
        logs.get_logger("t.strict").info("booked", surname=NAME)


@pytest.mark.parametrize(
    "error",
    [
        ValueError(f"surname {NAME} is not known"),
        KeyError(NAME),
        UnicodeDecodeError("utf-8", NAME.encode(), 0, 1, NAME),
        FileNotFoundError(2, "No such file", f"/rosters/{NAME}.csv"),
        OSError(f"cannot write {NAME}"),
        ExceptionGroup(NAME, [ValueError(NAME)]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_message_of_a_foreign_error_is_left_out_and_its_place_kept(output: Output, error: Exception) -> None:
    logs.get_logger("t.error").error("failed", exc_info=failing(error))
    (line,) = output.lines()
    assert NAME not in output.getvalue()
    assert line["exception"].startswith(type(error).__qualname__)
    assert "test_logs.py" in line["exception"]
    assert "failing" in line["exception"]


def test_an_error_in_an_except_block_is_no_different(output: Output) -> None:
    try:
        raise ValueError(NAME)
    except ValueError:
        logs.get_logger("t.exception").exception("failed")
    assert NAME not in output.getvalue()
    assert output.lines()[0]["exception"].startswith("ValueError at ")


def test_our_own_errors_say_what_they_say(output: Output) -> None:
    logs.get_logger("t.own").error("failed", exc_info=failing(ConfigurationError("no encryption key")))
    assert "no encryption key" in output.lines()[0]["exception"]
    assert issubclass(ConfigurationError, SallyportError)


def test_an_error_of_the_system_says_which(output: Output) -> None:
    logs.get_logger("t.os").error("failed", exc_info=failing(ConnectionRefusedError(111, "to somewhere")))
    assert "ConnectionRefusedError: Connection refused at" in output.lines()[0]["exception"]


@pytest.mark.parametrize(
    "say",
    [
        lambda log: log.exception("Error handling request"),
        lambda log: log.error("failed", exc_info=failing(ValueError(NAME))),
        lambda log: log.warning("failed\nexception=ValueError('%s')", NAME),
        lambda log: log.warning("failed", extra={"surname": NAME}),
    ],
)
def test_a_library_that_logs_an_error_does_not_show_its_message(
    output: Output, say: Callable[[logging.Logger], None]
) -> None:
    try:
        raise ValueError(NAME)
    except ValueError:
        say(logging.getLogger("aiohttp.server"))
    (line,) = output.lines()
    assert line["logger"] == "aiohttp.server"
    assert NAME not in output.getvalue()


async def test_asyncio_does_not_print_the_error_that_nobody_asked_for(output: Output) -> None:
    async def fails() -> None:
        raise ValueError(NAME)

    task = asyncio.create_task(fails(), name="forgotten")
    await asyncio.wait({task})
    del task
    gc.collect()
    asyncio.get_running_loop().call_exception_handler({"message": f"Exception in callback f('{NAME}')"})
    assert [line["event"] for line in output.lines()] == [
        "Task exception was never retrieved",
        "Exception in callback f",
    ]
    assert NAME not in output.getvalue()


def test_libraries_that_chatter_are_heard_from_a_warning_on(output: Output) -> None:
    logging.getLogger("aiokafka.consumer").info("Joined group")
    logging.getLogger("aiokafka.consumer").warning("Heartbeat failed")
    assert [line["event"] for line in output.lines()] == ["Heartbeat failed"]


def test_a_library_says_the_same_thing_once_a_second_and_how_often_it_had_to(
    output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the broker is away, aiokafka would write thousands of lines a second."""
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    log = logging.getLogger("aiokafka.sender")
    for number in range(50):
        log.error("Unable to reach node %s", number)
        log.error("Unable to update metadata")
    logs.get_logger("t.own").error("ours")
    logs.get_logger("t.own").error("ours")
    now = 1.5
    log.error("Unable to reach node %s", 50)
    assert [line["event"] for line in output.lines()] == [
        "Unable to reach node 0",
        "Unable to update metadata",
        "ours",
        "ours",
        "Unable to reach node 50 (and 49 more like it)",
    ]
