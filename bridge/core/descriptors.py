"""How many files and sockets this process may have open."""

import resource

import structlog

_log = structlog.get_logger(__name__)


def raise_descriptor_limit() -> int:
    """Raise the soft limit to the hard one, and return what then holds.

    The soft limit is 1024 on most systems for the sake of `select(2)`, which nothing here uses; every call needs
    several sockets.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError) as error:
            _log.warning("descriptor_limit_not_raised", limit=soft, reason=str(error))
            return soft
    return hard
