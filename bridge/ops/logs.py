"""Log lines: structlog for ours, the same look for libraries', people's identities redacted, never in the audio's way.

Every line of a call carries its `call_id`, because the whole of a call's work runs inside :func:`bind_call`.
"""

import atexit
import hashlib
import logging
import queue
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from bridge.core.ids import CallId
from bridge.core.pii import Pii, use_redaction_key

_LIBRARIES = ("aiohttp", "aioice", "aiortc", "alembic", "asyncio", "sqlalchemy")
_PERSONAL = re.compile(r"\+[0-9]{7,15}(?![0-9])|@[^\s@:'\"]{1,255}:[A-Za-z0-9.-]+")
_QUEUE_LINES = 10_000
_EXIT_LIMIT_S = 2.0


class LineWriter:
    """Writes lines on a thread of its own: a slow terminal or log collector costs lines, never audio."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines: queue.Queue[str | None] = queue.Queue(maxsize=_QUEUE_LINES)
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def write(self, line: str) -> int:
        """Queue one line, or count it as dropped."""
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self.dropped += 1
        return len(line)

    def flush(self) -> None:
        """Nothing to do: the thread flushes whenever it has written all there is."""

    def close(self) -> None:
        """Write what is queued, for a bounded time."""
        try:
            self._lines.put(None, timeout=_EXIT_LIMIT_S)
        except queue.Full:
            return
        self._thread.join(timeout=_EXIT_LIMIT_S)

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                self._stream.write(line)
                if self._lines.empty():
                    self._stream.flush()
            except (OSError, ValueError):  # a closed pipe or a closed stream
                self.dropped += 1


def redaction_key(secret: str) -> bytes:
    """A key for redacted values that every restart of an installation derives again from one of its secrets."""
    return hashlib.sha256(b"trunkline redaction " + secret.encode()).digest()


def configure_logging(*, level: str, json: bool, key: bytes, stream: TextIO | None = None) -> LineWriter:
    """Set up the logs of this process; called once, before anything is logged."""
    use_redaction_key(key)
    writer = LineWriter(stream or sys.stderr)
    atexit.register(writer.close)
    threshold = logging.getLevelNamesMapping()[level.upper()]
    renderer = _renderer(json)
    structlog.configure(
        processors=[*_common_processors(), renderer],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(file=writer),  # type: ignore[arg-type]
        cache_logger_on_first_use=False,
    )
    _route_libraries(writer, renderer, threshold)
    return writer


def _common_processors() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
        scrub,
        _in_reading_order,
    ]


def _in_reading_order(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """When, how important, what and of which call; then the rest."""
    first = {key: event[key] for key in ("time", "level", "event", "call_id") if key in event}
    return {**first, **event}


def _renderer(json: bool) -> Processor:
    if json:
        return structlog.processors.JSONRenderer(default=_as_text, ensure_ascii=False)
    return structlog.dev.ConsoleRenderer(colors=False)


def _as_text(value: object) -> str:
    return str(value)


def scrub(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Redact numbers and user ids inside free text, where no type could do it: tracebacks and libraries' messages."""
    for key in ("exception", "error", "event"):
        if isinstance(value := event.get(key), str):
            event[key] = _PERSONAL.sub(lambda match: str(Pii(match[0])), value)
    return event


def _route_libraries(writer: LineWriter, renderer: Processor, threshold: int) -> None:
    """Warnings of the libraries, in our format; what they say below that is about packets and requests."""
    handler = logging.StreamHandler(writer)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_common_processors(), structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.root.handlers = [handler]
    logging.root.setLevel(max(threshold, logging.WARNING))
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(max(threshold, logging.WARNING))


@contextmanager
def bind_call(call_id: CallId) -> Iterator[None]:
    """Put `call_id` on every line that is logged inside, in tasks started inside as well."""
    with structlog.contextvars.bound_contextvars(call_id=call_id):
        yield
