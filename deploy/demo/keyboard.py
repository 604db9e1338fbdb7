"""What is typed while the demo stays up."""

import asyncio
import contextlib
import os

_PENDING_LINES = 16
_LONGEST_LINE = 4096


class Keyboard:
    """Lines of standard input without a thread; without a keyboard, a line that never comes."""

    def __init__(self, descriptor: int = 0) -> None:
        self._descriptor = descriptor
        self._lines: asyncio.Queue[str] = asyncio.Queue(_PENDING_LINES)
        self._unfinished = b""
        self._loop = asyncio.get_running_loop()
        # A file or a closed descriptor cannot be watched: then nobody can type, and the demo goes on without.
        with contextlib.suppress(OSError, ValueError):
            self._loop.add_reader(descriptor, self._on_readable)

    async def next_line(self) -> str:
        """The next line that somebody types."""
        return await self._lines.get()

    def close(self) -> None:
        """Stop listening; may be called twice."""
        with contextlib.suppress(OSError, ValueError):
            self._loop.remove_reader(self._descriptor)

    def _on_readable(self) -> None:
        typed = os.read(self._descriptor, _LONGEST_LINE)
        if not typed:
            self.close()
        *lines, self._unfinished = (self._unfinished[-_LONGEST_LINE:] + typed).split(b"\n")
        for line in lines[: _PENDING_LINES - self._lines.qsize()]:
            self._lines.put_nowait(line.decode(errors="replace"))
