"""Which packet path carries the audio, and what the native one does with faults."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from bridge.core.clock import SystemClock
from bridge.core.entropy import SystemEntropy
from bridge.media import native_path
from bridge.media.embedded import EmbeddedEngine
from bridge.media.engine import MediaError
from bridge.media.settings import MediaSettings, PathChoice
from tests.media.counting import CountingTelemetry

CHECKOUT = Path(__file__).parents[2]
SETTINGS = MediaSettings(webrtc_hosts=("127.0.0.1",))


def engine(choice: PathChoice) -> EmbeddedEngine:
    settings = replace(SETTINGS, engine=choice)
    return EmbeddedEngine(settings, entropy=SystemEntropy(), clock=SystemClock(), telemetry=CountingTelemetry())


async def started(choice: PathChoice) -> object:
    """Which path an engine says that it uses."""
    made = engine(choice)
    with capture_logs() as lines:
        await made.start(lambda event: None)
    await made.stop()
    return next(line["engine"] for line in lines if line["event"] == "media_engine_started")


async def test_without_the_extension_the_portable_path_carries_the_audio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native_path, "load", lambda: None)
    assert await started(PathChoice.AUTO) == "portable"
    with pytest.raises(MediaError, match="trunkline-native is not installed"):
        engine(PathChoice.NATIVE)


async def test_with_the_extension_it_does_unless_told_otherwise() -> None:
    if native_path.load() is None:
        pytest.skip("the native packet path was not built: no Rust here")
    assert await started(PathChoice.AUTO) == "native"
    assert await started(PathChoice.PORTABLE) == "portable"


async def test_an_extension_of_another_version_carries_no_audio(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is installed by itself, so an upgrade may leave it behind: it would fail every call."""
    monkeypatch.setattr(native_path, "load", lambda: SimpleNamespace(INTERFACE=1))
    assert await started(PathChoice.AUTO) == "portable"
    with pytest.raises(MediaError, match="install it again"):
        engine(PathChoice.NATIVE)
    monkeypatch.setattr(native_path, "load", lambda: SimpleNamespace())
    assert await started(PathChoice.AUTO) == "portable"


@pytest.mark.skipif(not (CHECKOUT / ".venv/.native-installed").exists(), reason="no Rust here")
def test_what_setup_built_can_be_imported() -> None:
    assert native_path.load() is not None
