"""Logs: one line of JSON for each event, with the call it belongs to, and without anybody's number."""

import io
import json
import logging
import sys
import threading
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

import pytest
import structlog

from bridge.core.ids import CallId
from bridge.core.pii import Pii
from bridge.ops.logs import (
    LineWriter,
    bind_call,
    configure_logging,
    lines_dropped,
    redaction_key,
    set_level,
    toggle_debug,
)
from tests.patience import PATIENCE_S

NUMBER = "+15550100"
USER = "@alice:example.org"


@contextmanager
def logging_to(stream: TextIO, *, level: str = "info", as_json: bool = True) -> Iterator[LineWriter]:
    """The set-up of a process, undone afterwards."""
    handlers, threshold = logging.root.handlers[:], logging.root.level
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    writer = configure_logging(level=level, json=as_json, key=b"k" * 16, stream=stream)
    try:
        yield writer
    finally:
        writer.close()
        logging.root.handlers = handlers
        logging.root.setLevel(threshold)
        sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
        structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_json_with_time_level_and_event() -> None:
    stream = io.StringIO()
    with logging_to(stream):
        structlog.get_logger().info("call_answered", trunk="carrier")
    [line] = lines(stream)
    assert (line["event"], line["level"], line["trunk"]) == ("call_answered", "info", "carrier")
    assert line["time"].endswith("Z")
    assert list(line) == ["time", "level", "event", "trunk"]


def test_every_line_of_a_call_carries_its_id() -> None:
    stream = io.StringIO()
    with logging_to(stream):
        with bind_call(CallId("c1")):
            structlog.get_logger().info("call_started")
            logging.getLogger("aioice.ice").warning("a library speaks")
        structlog.get_logger().info("idle")
    assert [line.get("call_id") for line in lines(stream)] == ["c1", "c1", None]


def test_identities_are_redacted_wherever_they_stand() -> None:
    stream = io.StringIO()
    with logging_to(stream):
        log = structlog.get_logger()
        log.info("call_started", caller=Pii(NUMBER), people=[Pii(USER)], by_name={"called": Pii(NUMBER)})
        log.warning("request_failed", error=f"403 for {USER}")
        try:
            raise ValueError(f"cannot call {NUMBER} for {USER}")
        except ValueError:
            log.exception("call_failed")
        logging.getLogger("aiohttp.client").error("GET /x?user_id=%s", USER)
    text = stream.getvalue()
    assert len(text.splitlines()) == 4
    assert NUMBER not in text
    assert USER not in text
    assert str(Pii(NUMBER)) not in ("", NUMBER)


def test_a_redacted_value_is_the_same_in_every_line_and_after_a_restart() -> None:
    seen = set()
    for _ in range(2):
        stream = io.StringIO()
        with logging_to(stream):
            structlog.get_logger().info("call_started", caller=Pii(NUMBER))
        seen.add(lines(stream)[0]["caller"])
    assert len(seen) == 1


def test_the_redaction_key_depends_on_the_installation() -> None:
    assert redaction_key("one") == redaction_key("one")
    assert redaction_key("one") != redaction_key("other")


def test_the_level_is_respected_and_libraries_start_at_warning() -> None:
    stream = io.StringIO()
    with logging_to(stream, level="debug"):
        structlog.get_logger().debug("packet_seen")
        logging.getLogger("aiortc.rtcrtpsender").info("noise")
        logging.getLogger("sqlalchemy.engine").warning("something odd")
    assert [line["event"] for line in lines(stream)] == ["packet_seen", "something odd"]
    stream = io.StringIO()
    with logging_to(stream, level="error"):
        structlog.get_logger().warning("quiet")
    assert stream.getvalue() == ""


def test_nothing_is_left_out_until_that_is_asked_for_again_whatever_is_configured_meanwhile() -> None:
    stream = io.StringIO()
    with logging_to(stream, level="error"):
        log = structlog.get_logger()
        toggle_debug()
        set_level("warning")
        log.debug("packet_seen", caller=Pii(NUMBER))
        toggle_debug()
        log.info("quiet")
        log.warning("trunk_failed")
    told = lines(stream)
    changed = "log_level_changed"
    assert [line["event"] for line in told] == [changed, "packet_seen", changed, "trunk_failed"]
    assert [line["level_now"] for line in told if line["event"] == changed] == ["debug", "warning"]
    assert NUMBER not in stream.getvalue()


def test_the_console_format_is_for_people() -> None:
    stream = io.StringIO()
    with logging_to(stream, as_json=False):
        structlog.get_logger().info("call_started", caller=Pii(NUMBER))
    assert "call_started" in stream.getvalue()
    assert "[redacted#" in stream.getvalue()


@pytest.mark.parametrize("as_json", [True, False])
def test_what_a_stranger_chose_neither_steers_a_terminal_nor_begins_a_line(as_json: bool) -> None:
    stream = io.StringIO()
    with logging_to(stream, as_json=as_json):
        structlog.get_logger().info("call_started", matrix_call_id="\x1b[2J\x9b1m\u202e\u2028\x85\x00")
    assert stream.getvalue().endswith("\n")
    assert stream.getvalue()[:-1].isprintable()


def test_exceptions_read_the_same_in_the_console_format() -> None:
    stream = io.StringIO()
    with logging_to(stream, as_json=False):
        try:
            raise ValueError(f"cannot call {NUMBER}")
        except ValueError:
            structlog.get_logger().exception("call_failed")
    assert "ValueError: cannot call [redacted#" in stream.getvalue()


def test_what_nobody_caught_is_redacted_as_well() -> None:
    stream = io.StringIO()
    error = ValueError(f"cannot call {NUMBER}")
    with logging_to(stream):
        sys.excepthook(ValueError, error, None)
        thread = threading.Thread(target=_fail, args=(error,))
        thread.start()
        thread.join(timeout=PATIENCE_S)
        sys.unraisablehook(cast(Any, types.SimpleNamespace(exc_value=error)))
        sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert [line["event"] for line in lines(stream)] == ["process_failed", "thread_failed", "error_lost"]
    assert all("ValueError: cannot call [redacted#" in line["exception"] for line in lines(stream))


def _fail(error: Exception) -> None:
    raise error


class BrokenPipe(io.StringIO):
    def write(self, text: str, /) -> int:
        raise BrokenPipeError


def test_a_reader_that_went_away_costs_lines_and_nothing_else() -> None:
    before = lines_dropped()
    with logging_to(BrokenPipe()) as writer:
        structlog.get_logger().info("call_started")
        writer.close()
        assert writer.dropped == 1
    assert lines_dropped() == before + 1


def test_a_reader_that_does_not_keep_up_costs_lines_and_no_memory() -> None:
    class Stuck:
        def write(self, text: str) -> int:
            gate.acquire(timeout=PATIENCE_S)
            return len(text)

        def flush(self) -> None: ...

    gate = threading.Semaphore(0)
    writer = LineWriter(cast(TextIO, Stuck()))
    for _ in range(12_000):
        writer.write("line\n")
    assert 1_900 < writer.dropped <= 2_000
    gate.release(20_000)
    writer.close()
