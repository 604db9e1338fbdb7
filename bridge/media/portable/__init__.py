"""The packet path in Python, in worker processes: it runs wherever Python does; the native one is held against it."""

from bridge.media.portable.engine import Engine

__all__ = ["Engine"]
