"""STUN and TURN servers, which calls ask before they begin: whether each answers, and takes our credentials."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable

from aioice import stun

from bridge.app.doctor.findings import Finding, ok, warning
from bridge.core.clock import Clock
from bridge.media.ice import webrtc_hosts
from bridge.media.ice_servers import IceServers, StunServer, TurnServer
from bridge.media.ice_trial import FAILURES, reflexive_address, relayed_address
from bridge.media.latch import Address
from bridge.media.settings import MediaSettings, PathChoice

_STUN, _TURN = "media.stun_servers", "media.turn"
_ELSE = "calls wait half a second for it, and people behind a NAT may hear nothing"
_REFUSED = (401, 403, 441)
"""RFC 8656 §15: who we are is not believed, or may not have it."""


async def ice_server_findings(settings: MediaSettings, clock: Clock, *, limit_s: float) -> AsyncIterator[Finding]:
    """One for each server; all are asked at once. With rtpengine nobody asks them."""
    if settings.engine is PathChoice.RTPENGINE:
        return
    servers = IceServers(settings.stun_servers, settings.turn_servers, clock)
    family = _family(settings)
    asked = [
        *(_stun(server, servers, family, limit_s) for server in settings.stun_servers),
        *(_turn(server, servers, limit_s) for server in settings.turn_servers),
    ]
    for finding in await asyncio.gather(*asked):
        yield finding


def _family(settings: MediaSettings) -> socket.AddressFamily:
    """That of the sockets that calls would ask from."""
    hosts = webrtc_hosts(settings)
    return socket.AF_INET6 if hosts and all(":" in host for host in hosts) else socket.AF_INET


async def _stun(server: StunServer, servers: IceServers, family: socket.AddressFamily, limit_s: float) -> Finding:
    name = f"{server.host}:{server.port}"
    seen = await _answer(reflexive_address(server, servers, family), limit_s)
    if isinstance(seen, Exception):
        advice = f"choose one that answers over UDP, or leave it out: {_ELSE}"
        return warning(_STUN, f"{name} {_complaint(seen, limit_s)}", advice)
    return ok(_STUN, f"{name} answers" if seen is None else f"{name} answers, and sees this machine at {seen[0]}")


async def _turn(server: TurnServer, servers: IceServers, limit_s: float) -> Finding:
    name = f"{server.host}:{server.port} ({server.transport})"
    lent = await _answer(relayed_address(server, servers), limit_s)
    if isinstance(lent, Exception):
        return warning(_TURN, f"{name} {_complaint(lent, limit_s)}", _turn_advice(lent))
    return ok(_TURN, f"{name} answers, and lends us addresses")


async def _answer(asking: Awaitable[Address | None], limit_s: float) -> Address | Exception | None:
    try:
        async with asyncio.timeout(limit_s):
            return await asking
    except FAILURES as error:
        return error


def _turn_advice(error: Exception) -> str:
    if isinstance(error, stun.TransactionFailed) and error.response.error_code in _REFUSED:
        return "are username and password, or shared_secret, those that the server has?"
    return f"is the URI right, does the server run, and do firewalls let it through? Else {_ELSE}"


def _complaint(error: Exception, limit_s: float) -> str:
    match error:
        case TimeoutError() | stun.TransactionTimeout():
            return f"gives no answer within {limit_s:.0f} s"
        case stun.TransactionFailed():
            return f"refuses us with error {error.response.error_code}"
        case socket.gaierror():
            return "has no address that anybody knows"
        case OSError():
            return f"cannot be reached: {error.strerror or error}"
        case _:
            return f"answers, but not as it should: {error}"
