"""What a person does, hears and sees in a browser while a call is up."""

from typing import Any

from tests.e2e.chromium import Device
from tests.e2e.sound import Heard, Tone
from tests.e2e.waiting import until
from tests.patience import PATIENCE_S


class Handset:
    """The current call of a device."""

    def __init__(self, device: Device) -> None:
        self.device = device

    async def hold(self) -> None:
        """Put the other end on hold."""
        await self._control("hold", True)

    async def resume(self) -> None:
        """Take the other end back."""
        await self._control("hold", False)

    async def mute(self, *, muted: bool = True) -> None:
        """Switch the microphone off, or on again."""
        await self._control("mute", muted)

    async def show_camera(self) -> None:
        """Offer video."""
        await self._control("showCamera", None)

    async def restart_ice(self) -> None:
        """Look for another way to the bridge, as when a network appears."""
        await self._control("restartIce", None)

    async def press(self, digit: str) -> None:
        """Press a key of the keypad."""
        await self._control("press", digit)

    async def transfer(self, user_id: str) -> None:
        """Leave the other end to somebody else, whom nobody asks first."""
        await self._control("transfer", user_id)

    async def shown(self) -> dict[str, Any]:
        """What the page knows of its call; see `look` in the page."""
        result: dict[str, Any] = await self.device.look("() => device.look()")
        return result

    async def wait_shown(self, *, limit_s: float = PATIENCE_S, **wanted: object) -> None:
        """Wait until no negotiation is under way and the page shows this."""
        shown: dict[str, Any] = {}

        async def fits() -> bool:
            shown.update(await self.shown())
            return {name: shown[name] for name in wanted} == wanted and bool(shown["settled"])

        await until(fits, lambda: f"the page shows {shown}, not {wanted}", limit_s=limit_s)

    async def hears(self, tone: Tone) -> None:
        """Wait until this is heard, and nothing of what came before."""
        heard: list[Heard] = []

        async def like() -> bool:
            heard.append(await self.device.listen())
            return heard[-1].is_like(tone)

        await until(like, lambda: f"the browser heard {heard[-1:]}, not {tone}", limit_s=PATIENCE_S)

    async def hears_nothing(self) -> None:
        """Wait until it has been silent for a third of a second."""
        await self.device.wait_for("() => device.hearsNothing()", None)

    async def time_gaps(self) -> None:
        """Begin to measure; see `longest_gap_s`."""
        await self.device.look("() => device.timeGaps()")

    async def longest_gap_s(self) -> float:
        """The longest silence since `time_gaps`."""
        return float(await self.device.look("() => device.longestGap()")) / 1000

    async def _control(self, name: str, argument: object) -> None:
        await self.device.look("([name, argument]) => device.control(name, argument)", [name, argument])
