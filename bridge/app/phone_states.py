"""What the phones of a PBX are doing, shown as the presence of their ghosts."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

import structlog

from bridge.core.errors import TrunklineError
from bridge.core.ids import E164
from bridge.core.pii import Pii
from bridge.core.presence import PresenceState
from bridge.sip.dialog_info import PhoneState
from bridge.sip.events import PhoneStateChanged

log = structlog.get_logger(__name__)

REPEAT_S = 25.0
"""A homeserver takes somebody for gone of whom it heard nothing for so long (Synapse: 30 s)."""

ON_THE_PHONE = "On the phone"

_SHOWN: Mapping[PhoneState, tuple[PresenceState, str]] = {
    PhoneState.UNKNOWN: (PresenceState.OFFLINE, ""),
    PhoneState.IDLE: (PresenceState.ONLINE, ""),
    PhoneState.RINGING: (PresenceState.ONLINE, ""),
    PhoneState.BUSY: (PresenceState.UNAVAILABLE, ON_THE_PHONE),
}


class PresencePort(Protocol):
    """Where presence is shown. Failures are `bridge.core.errors.TrunklineError`."""

    async def show_presence(self, number: E164, state: PresenceState, text: str) -> None: ...


class PhoneStates:
    """Keeps the newest state of each phone, and shows it until told otherwise; what is overtaken is never shown."""

    def __init__(self, matrix: PresencePort, number_of: Callable[[str], str]) -> None:
        self._matrix = matrix
        self._number_of = number_of
        self._states: dict[E164, PhoneState] = {}
        """Bounded by the phones that the configuration names."""
        self._numbers: dict[str, E164] = {}
        """By phone, for what is national in a region is another number in the next."""
        self._due: set[E164] = set()
        self._wake = asyncio.Event()

    def note(self, event: PhoneStateChanged) -> None:
        """A phone does something else now. Two trunks that know the same phone overwrite each other."""
        number = E164(self._number_of(event.phone))
        before = self._numbers.get(event.phone, number)
        self._numbers[event.phone] = number
        self._states[before] = PhoneState.UNKNOWN
        self._states[number] = event.state
        self._due |= {before, number}
        self._wake.set()

    async def run(self) -> None:
        """Show what is noted, for as long as this runs; what could not be shown is tried again."""
        while True:
            for number in sorted(self._due):
                await self._show(number)
            try:
                async with asyncio.timeout(REPEAT_S):
                    await self._wake.wait()
            except TimeoutError:
                self._due |= {number for number, state in self._states.items() if state is not PhoneState.UNKNOWN}
            self._wake.clear()

    async def _show(self, number: E164) -> None:
        self._due.discard(number)
        try:
            await self._matrix.show_presence(number, *_SHOWN[self._states[number]])
        except TrunklineError as error:
            log.warning("phone_state_not_shown", number=Pii(number), detail=str(error))
            self._due.add(number)
