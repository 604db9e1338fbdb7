"""The seam between what is agreed and what carries it: one packet path for each call.

Its packets are on workers: threads in Rust (`bridge.media.native_path`) or processes in Python
(`bridge.media.portable_path`). Descriptions, ICE and DTLS are none of a path's business.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from structlog.typing import FilteringBoundLogger

from bridge.core.clock import Clock
from bridge.core.entropy import Entropy
from bridge.core.telemetry import Telemetry
from bridge.media.engine import Ear, MediaStats
from bridge.media.formats import LegFormats
from bridge.media.latch import Networks
from bridge.media.player import Playing
from bridge.media.ports import PortPool
from bridge.media.sdes import KeyPair
from bridge.media.sdp_sip import RemoteSip
from bridge.media.tap import Tapped
from bridge.media.webrtc import WebRtcLeg


@dataclass(frozen=True, slots=True, kw_only=True)
class PathNeeds:
    """What a path needs of its call and of the engine."""

    ports: PortPool
    entropy: Entropy
    clock: Clock
    telemetry: Telemetry
    log: FilteringBoundLogger
    trusted: Networks
    """Where RTP may come from besides the address that a phone announced."""
    signal_digit: Callable[[str, int], object] | None
    """Who takes the Matrix client's digits, and their length in ms, where the phone has no events for them."""
    played: Callable[[int], object]
    """Who is told the number of a sound that has been played to its end."""
    phone_digit: Callable[[str], object]
    """Who takes the phone's keys while they are listened for."""
    on_lost: Callable[[], object]
    """Who is told that the packets are carried no more, by a fault of ours."""


class PacketPath(Protocol):
    """The packets of one call. Every method runs on the media thread, but for `stats`, `tap` and `tapped`: any may."""

    @property
    def ssrc(self) -> int:
        """The stream that the Matrix client hears."""
        ...

    @property
    def cname(self) -> str:
        """Our name in RTCP."""
        ...

    @property
    def heard_phone_at(self) -> float | None:
        """When the phone sent something last."""
        ...

    @property
    def heard_matrix_at(self) -> float | None:
        """When the Matrix client sent something last, RTP or RTCP."""
        ...

    async def open(self, host: str) -> int:
        """Bind the phone's sockets, return the port of RTP. Raises :class:`bridge.media.engine.MediaError`."""
        ...

    def configure(self, matrix: LegFormats | None, sip: LegFormats | None) -> None:
        """Take what the legs agreed on."""
        ...

    def let_through(self, *, to_sip: bool, filling: bool, to_matrix: bool) -> None:
        """Which way audio may flow, and whether pauses towards the phone are filled."""
        ...

    def direct(self, remote: RemoteSip, keys: KeyPair | None) -> bool:
        """Take the phone's address, and the keys towards it, `None` for the clear; `True` when the address is new."""
        ...

    def expect_new_phone(self) -> None:
        """The phone is another one, or elsewhere: open the path, and continue the stream whatever its numbers."""
        ...

    def join(self, partner: Any) -> None:
        """Carry this phone's audio to that of another call instead of to the Matrix side; `None` parts them."""
        ...

    def press(self, digits: str, duration_ms: int) -> None:
        """Send keys to whoever hears the phone: the Matrix client, or the phone of another call."""
        ...

    def play(self, ear: Ear, playing: Playing | None) -> None:
        """Let one side hear this in the place of the other, while it may hear anything; `None` is the other again."""
        ...

    def listen(self, wanted: bool, *, tones: bool) -> None:
        """Tell of keys of the phone as soon as they are recognised, of tones in its audio too, or no longer."""
        ...

    def tap(self, wanted: bool) -> None:
        """Set packets of both sides aside for `tapped`, or no longer; what was set aside stays, closed or not."""
        ...

    def tapped(self) -> tuple[list[Tapped], bool]:
        """What was set aside since the last time, and whether some was lost because nobody asked for it."""
        ...

    def carry(self, leg: WebRtcLeg) -> None:
        """ICE and DTLS of a Matrix leg are up: its audio flows on this path until the leg is closed."""
        ...

    def look_after(self, now: float) -> None:
        """A few times a second: reports and counters."""
        ...

    def stats(self, *, off_path_dropped: int) -> MediaStats:
        """The numbers so far, those of the last look at the least; any thread may ask, and none ever waits."""
        ...

    def say_goodbye(self) -> None:
        """Tell both ends that our streams are over (RTCP BYE), while there still is a way to them."""
        ...

    async def close(self) -> None:
        """Say goodbye, free sockets and codecs; the numbers stay. Called again, it finishes what failed."""
        ...


class PacketPaths(Protocol):
    """Makes the paths of an engine's calls."""

    @property
    def name(self) -> str:
        """The kind, as the settings name it."""
        ...

    def start(self, telemetry: Telemetry) -> None:
        """Get ready; runs on the media thread."""
        ...

    def make(self, needs: PathNeeds) -> PacketPath:
        """The path of a new call."""
        ...

    def look_after(self) -> None:
        """A few times a second."""
        ...

    def stop(self) -> None:
        """Free what all calls shared, on the media thread; they are closed by then."""
        ...
