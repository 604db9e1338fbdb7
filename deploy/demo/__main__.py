"""`python -m deploy.demo`: start everything, carry two calls, then stay up for people. `make demo` runs this."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from deploy.demo.calls import CallResult, TwoCalls
from deploy.demo.errors import DemoError, explanations
from deploy.demo.matrix_caller import MatrixCaller
from deploy.demo.stage import MATRIX_TONE, PHONE_NUMBER, USER_NAME, USER_NUMBER, Stage, stage
from deploy.demo.staying import OpenPhone
from deploy.demo.terminal import Terminal, wants_colours
from deploy.demo.webrtc import gather_on_loopback

_ENDED_BY_PERSON = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; 0 if both calls carried audio both ways, 1 if not, 130 if somebody ended it before it knew."""
    options = _parser().parse_args(arguments)
    terminal = Terminal(sys.stdout, colours=wants_colours(sys.stdout))
    demo = Demo(terminal, directory=options.directory, once=options.once)
    try:
        asyncio.run(demo.run())
    except (KeyboardInterrupt, asyncio.CancelledError):
        terminal.line("\nEnded, and everything it started.")
    return demo.exit_status


class Demo:
    """The whole evening: what is shown, and what the exit status says about it."""

    def __init__(self, terminal: Terminal, *, directory: Path, once: bool) -> None:
        self.exit_status = _ENDED_BY_PERSON
        self._terminal = terminal
        self._directory = directory
        self._once = once

    async def run(self) -> None:
        """From the first process to the last; errors that a person can act on are printed here."""
        _end_on_sigterm()
        gather_on_loopback()
        self._terminal.line("Trunkline demo: a homeserver, Trunkline, a phone, and one call in each direction")
        self._terminal.line()
        try:
            async with stage(self._directory, self._terminal) as parts, asyncio.TaskGroup() as tasks:
                watching = tasks.create_task(parts.watch())
                await self._perform(parts)
                watching.cancel()
        except (DemoError, BaseExceptionGroup) as error:
            self.exit_status = 1
            for explanation in explanations(error):
                self._terminal.failure(f"\nThe demo cannot go on: {explanation}")

    async def _perform(self, parts: Stage) -> None:
        async with MatrixCaller(parts.synapse.url, tone=MATRIX_TONE) as caller:
            await caller.log_in(USER_NAME, parts.password)
            calls = TwoCalls(terminal=self._terminal, caller=caller, phone=parts.phone, user_number=USER_NUMBER)
            results = await calls.run()
        self.exit_status = 1 if any(result.failure for result in results) else 0
        self._show_results(parts, results)
        if not self._once:
            self._show_how_to_join(parts)
            await OpenPhone(terminal=self._terminal, phone=parts.phone, user_number=USER_NUMBER).stay()

    def _show_results(self, parts: Stage, results: Sequence[CallResult]) -> None:
        self._terminal.line()
        if not any(result.failure for result in results):
            self._terminal.success("Both calls carried audio both ways.")
            return
        for result in results:
            if result.failure:
                self._terminal.failure(f"{result.title}: failed, {result.failure}")
        self._terminal.line(f"What happened is in {parts.trunkline.log_file} and {parts.synapse.log_file}")

    def _show_how_to_join(self, parts: Stage) -> None:
        self._terminal.heading("Join in")
        self._terminal.pairs(
            {
                "Client": "Element Desktop, or Element Web in a browser, on this machine",
                "Homeserver": parts.synapse.url,
                "User": USER_NAME,
                "Password": parts.password,
                "Call the phone": f"dial {PHONE_NUMBER} with the dial pad; it plays a tone, then echoes you",
                "Be called": f"press Enter here, and the phone calls {parts.user_id} ({USER_NUMBER})",
                "Metrics": parts.trunkline.metrics_url,
                "Call records": str(parts.directory / "call-records.jsonl"),
                "Logs": f"{parts.trunkline.log_file} and {parts.synapse.log_file}",
                "End": "Ctrl-C, or type quit",
            }
        )
        self._terminal.line()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.demo", description=__doc__)
    parser.add_argument(
        "--once",
        action="store_true",
        default=os.environ.get("ONCE", "") not in ("", "0"),
        help="end after the two calls, with status 0 only if both carried audio both ways (also: ONCE=1)",
    )
    parser.add_argument(
        "--directory", type=Path, default=Path(".demo"), help="where everything is kept for the next run (.demo)"
    )
    return parser


def _end_on_sigterm() -> None:
    """SIGTERM ends the demo as Ctrl-C does: by cancelling it, so that every part is ended in order."""
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


if __name__ == "__main__":
    sys.exit(main())
