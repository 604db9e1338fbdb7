"""Where the libraries of the demo's own process complain: a file, so that the terminal stays readable."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog


@contextmanager
def log_to(path: Path) -> Iterator[None]:
    """Send warnings of the SIP stack (structlog) and of aiortc, aioice and asyncio (logging) to a file."""
    handler = logging.FileHandler(path, mode="w")
    handler.setLevel(logging.WARNING)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.WriteLoggerFactory(file=handler.stream),
    )
    try:
        yield
    finally:
        structlog.reset_defaults()
        root.removeHandler(handler)
        handler.close()
