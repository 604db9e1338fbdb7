"""rtpengine servers, where these carry the audio: whether each of them answers."""

from collections.abc import AsyncIterator

from bridge.app.doctor.findings import Finding, fault, ok
from bridge.core.entropy import Entropy
from bridge.media.rtpengine.ng import NgClient, NgError
from bridge.media.settings import MediaSettings, PathChoice, ServerAddress


async def media_server_findings(settings: MediaSettings, entropy: Entropy) -> AsyncIterator[Finding]:
    """One for each server. A ping disturbs none, nor the bridge that uses it."""
    if settings.engine is PathChoice.RTPENGINE:
        for server in settings.rtpengines:
            yield await _asked(server, entropy)


async def _asked(server: ServerAddress, entropy: Entropy) -> Finding:
    name = f"{server.host}:{server.port}"
    client = NgClient(server.host, server.port, entropy)
    try:
        await client.open()
        await client.request("ping")
    except (NgError, OSError) as error:
        advice = "does rtpengine run, with --listen-ng at this address, and may this machine reach it?"
        return fault("media.rtpengine", f"{name} does not answer ({error})", advice)
    finally:
        client.close()
    return ok("media.rtpengine", f"{name} answers")
