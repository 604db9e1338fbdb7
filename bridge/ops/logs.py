"""Log lines: structlog for ours, the same look for libraries', people's identities redacted, never in the audio's way.

Every line of a call carries its `call_id`, because the whole of a call's work runs inside :func:`bind_call`.
"""

import atexit
import hashlib
import logging
import queue
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from bridge.core.ids import CallId
from bridge.core.pii import use_redaction_key
from bridge.ops.scrubbing import scrub

_LIBRARIES = ("aiohttp", "aioice", "aiortc", "alembic", "asyncio", "sqlalchemy")
_QUEUE_LINES = 10_000
_EXIT_LIMIT_S = 2.0
UNSEEN = {
    code: f"\\u{code:04x}"
    for code in (*range(0x0A), *range(0x0B, 0x20), *range(0x7F, 0xA0), *range(0x2028, 0x202F), *range(0x2066, 0x206A))
}
"""Characters that steer a terminal, break lines or turn their direction, as JSON writes them: strangers choose ids."""


class LineWriter:
    """Writes lines on a thread of its own: a slow terminal or log collector costs lines, never audio."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines: queue.Queue[str | None] = queue.Queue(maxsize=_QUEUE_LINES)
        self.dropped = 0
        """Lines that nobody will read."""
        self._counting = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def write(self, line: str) -> int:
        """Queue one line, or count it as dropped."""
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._drop()
        return len(line)

    @property
    def waiting(self) -> int:
        """Lines that are not written yet."""
        return self._lines.qsize()

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
                self._drop()

    def _drop(self) -> None:
        with self._counting:
            self.dropped += 1


_writers: list[LineWriter] = []
"""The one of this process. Logging is set up for a process as a whole, so what it lost is counted so too."""


@dataclass(slots=True)
class _Level:
    """What is left out, of the log of this process."""

    configured: int = logging.INFO
    verbose: bool = False
    """Nothing is left out for a while, whatever is configured."""

    @property
    def threshold(self) -> int:
        return logging.DEBUG if self.verbose else self.configured


_level = _Level()


def lines_waiting() -> int:
    """How many log lines of this process are not written yet."""
    return sum(writer.waiting for writer in _writers)


def lines_dropped() -> int:
    """How many log lines of this process were lost since its start."""
    return sum(writer.dropped for writer in _writers)


def redaction_key(secret: str) -> bytes:
    """A key for redacted values that every restart of an installation derives again from one of its secrets."""
    return hashlib.sha256(b"trunkline redaction " + secret.encode()).digest()


def configure_logging(*, level: str, json: bool, key: bytes, stream: TextIO | None = None) -> LineWriter:
    """Set up the logs of this process; called once, before anything is logged."""
    use_redaction_key(key)
    writer = LineWriter(stream or sys.stderr)
    _writers.append(writer)
    atexit.register(writer.close)
    renderer = _renderer(json)
    structlog.configure(
        processors=[*_common_processors(), renderer],
        logger_factory=structlog.WriteLoggerFactory(file=writer),  # type: ignore[arg-type]
        cache_logger_on_first_use=False,
    )
    _route_libraries(writer, renderer)
    _route_last_words()
    set_level(level)
    return writer


def set_level(level: str) -> None:
    """Leave out what matters less than this, from now on or from the end of `toggle_debug`."""
    _level.configured = logging.getLevelNamesMapping()[level.upper()]
    _apply_level()


def toggle_debug() -> None:
    """Leave nothing out, or again what is configured; the log says which, before it says less."""
    _level.verbose = not _level.verbose
    if _level.verbose:
        _apply_level()
    name = logging.getLevelName(_level.threshold).lower()
    structlog.get_logger(__name__).info("log_level_changed", level_now=name)
    _apply_level()


def _apply_level() -> None:
    """Of the libraries nothing below a warning is ever shown."""
    threshold = _level.threshold
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(threshold))
    for name in (None, *_LIBRARIES):
        logging.getLogger(name).setLevel(max(threshold, logging.WARNING))


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
    # Exceptions are text by then, with nobody's number in it.
    render = (
        structlog.processors.JSONRenderer(default=_as_text, ensure_ascii=False)
        if json
        else structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    )
    return lambda logger, method, event: str(render(logger, method, event)).translate(UNSEEN)


def _as_text(value: object) -> str:
    return str(value)


def _route_libraries(writer: LineWriter, renderer: Processor) -> None:
    """Warnings of the libraries, in our format; what they say below that is about packets and requests."""
    handler = logging.StreamHandler(writer)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_common_processors(), structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.root.handlers = [handler]
    # Its errors are what strangers send: a traceback for each would let them fill the disk.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)


def _route_last_words() -> None:
    """What nobody caught goes through the log as well: Python's own way prints it as it is, with all that it names."""
    sys.excepthook = lambda kind, error, trace: _tell_uncaught("process_failed", error)
    threading.excepthook = lambda hook: _tell_uncaught("thread_failed", hook.exc_value)
    sys.unraisablehook = lambda hook: _tell_uncaught("error_lost", hook.exc_value)


def _tell_uncaught(event: str, error: BaseException | None) -> None:
    if not isinstance(error, KeyboardInterrupt):
        structlog.get_logger(__name__).critical(event, exc_info=error)


@contextmanager
def bind_call(call_id: CallId) -> Iterator[None]:
    """Put `call_id` on every line that is logged inside, in tasks started inside as well."""
    with structlog.contextvars.bound_contextvars(call_id=call_id):
        yield
