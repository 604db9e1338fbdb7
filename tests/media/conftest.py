"""Fixtures: an engine on loopback, and peers that are closed whatever happens."""

from collections.abc import AsyncIterator, Callable

import aioice.ice
import pytest

from bridge.core.clock import SystemClock
from bridge.core.entropy import SystemEntropy
from bridge.media.embedded import EmbeddedEngine
from bridge.media.engine import MediaEvent
from bridge.media.settings import MediaSettings, PathChoice
from tests.media.browser import Browser
from tests.media.counting import CountingTelemetry
from tests.media.phone import Phone
from tests.media.waiting import Collected


@pytest.fixture(autouse=True)
def _loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the peers' candidates on this machine."""
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.1"])


PATHS = (PathChoice.PORTABLE, PathChoice.NATIVE)


@pytest.fixture(params=PATHS)
def path(request: pytest.FixtureRequest) -> PathChoice:
    """Who carries the packets: every test of whole calls holds both to the same."""
    choice: PathChoice = request.param
    if choice is PathChoice.NATIVE:
        pytest.importorskip("trunkline_native", reason="the native packet path was not built: no Rust here")
    return choice


@pytest.fixture
def workers() -> int:
    """How many processes the portable path has, which take their time to start: two where calls in both are joined."""
    return 1


@pytest.fixture
def settings(path: PathChoice, workers: int) -> MediaSettings:
    return MediaSettings(
        engine=path,
        workers=workers if path is PathChoice.PORTABLE else 0,
        webrtc_hosts=("127.0.0.1",),
        rtp_host="127.0.0.1",
        connect_timeout_s=30.0,
    )


@pytest.fixture
def telemetry() -> CountingTelemetry:
    return CountingTelemetry()


@pytest.fixture
def events() -> Collected[MediaEvent]:
    return Collected()


@pytest.fixture
async def engine(
    settings: MediaSettings, telemetry: CountingTelemetry, events: Collected[MediaEvent]
) -> AsyncIterator[EmbeddedEngine]:
    engine = EmbeddedEngine(settings, entropy=SystemEntropy(), clock=SystemClock(), telemetry=telemetry)
    await engine.start(events.add)
    yield engine
    await engine.stop()


@pytest.fixture
async def phone() -> AsyncIterator[Phone]:
    phone = await Phone.open()
    yield phone
    await phone.close()


@pytest.fixture
async def new_browser() -> AsyncIterator[Callable[..., Browser]]:
    made: list[Browser] = []

    def make(*codecs: str) -> Browser:
        made.append(Browser(*codecs))
        return made[-1]

    yield make
    for browser in made:
        await browser.close()
