"""Signals that come before there is anybody to take them: what they would do then is end the process (signal(7))."""

import signal

HELD = frozenset({signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2})


def hold() -> None:
    """Let one of each wait in the kernel: the first process of a container would otherwise never hear of them."""
    signal.pthread_sigmask(signal.SIG_BLOCK, HELD)


def release() -> None:
    """Have what came meanwhile: there are handlers now."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD)
