"""Errors that carry their own verdict."""

from bridge.core.verdict import Verdict


class TrunklineError(Exception):
    """The root of all errors that Trunkline raises on purpose."""


class CallError(TrunklineError):
    """A call cannot go on; `verdict` says why and what each side is told."""

    def __init__(self, verdict: Verdict, detail: str = "") -> None:
        super().__init__(f"{verdict.reason}: {detail}" if detail else verdict.reason)
        self.verdict = verdict
        self.detail = detail
