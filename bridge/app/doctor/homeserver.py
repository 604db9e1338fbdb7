"""The homeserver: there, of the right time, knows us, reaches us, and has a certificate that lasts."""

import asyncio
import email.utils
import json
import os
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import aiohttp
from yarl import URL

from bridge.app.doctor.bodies import bounded_body
from bridge.app.doctor.findings import Finding, fault, ok, warning
from bridge.config.certificates import RENEW_DAYS
from bridge.core.clock import Clock
from bridge.core.entropy import Entropy
from bridge.matrix.client import Client
from bridge.matrix.link import HomeserverLink, MatrixError, RetryPolicy
from bridge.matrix.settings import MatrixSettings

CONNECT_S = 5.0
"""So long may it take to reach the homeserver, TLS included: a port of plain HTTP may wait for more than it got."""
LATE_S, WRONG_S = 5.0, 60.0
"""Clocks this far apart: an invite that is a minute old is no longer rung for."""
_DAY_S = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeserverCheck:
    """Asks the homeserver what the bridge would."""

    settings: MatrixSettings
    clock: Clock
    entropy: Entropy

    async def findings(self, *, bridge_runs: bool) -> AsyncIterator[Finding]:
        """What can be found out; a bridge that does not run cannot be reached by the homeserver."""
        try:
            versions, date = await self._versions()
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            seen = f"{self.settings.homeserver_url} cannot be reached ({self._why(error)})"
            advice = "is homeserver.url right (http or https, the port, no /_matrix), and does the homeserver run?"
            yield fault("homeserver", seen, advice)
            return
        yield ok("homeserver", f"answers, and speaks Matrix {versions[-1]}")
        if date:
            yield self._clocks(date)
        async for finding in self._certificate():
            yield finding
        async for finding in self._known(bridge_runs=bridge_runs):
            yield finding

    async def _versions(self) -> tuple[list[str], str]:
        """Versions of the specification, oldest first, and the Date field of the answer. Raises `ValueError`."""
        limit = aiohttp.ClientTimeout(total=self.settings.request_timeout_s, sock_connect=CONNECT_S)
        url = URL(self.settings.homeserver_url.rstrip("/") + "/_matrix/client/versions")
        async with aiohttp.ClientSession(timeout=limit) as session, session.get(url) as answer:
            body = json.loads(await bounded_body(answer))
            versions = body.get("versions") if isinstance(body, Mapping) else None
            if answer.status != 200 or not isinstance(versions, list) or not versions:
                raise ValueError(f"status {answer.status}, and no Matrix versions")
            return [str(version)[:20] for version in versions], answer.headers.get("Date", "")

    def _why(self, error: BaseException) -> str:
        if self.settings.homeserver_url.startswith("https:"):
            if isinstance(error, aiohttp.ConnectionTimeoutError):
                return f"no TLS within {CONNECT_S:.0f} s: a port of plain HTTP, or a firewall"
            if isinstance(error, aiohttp.ClientConnectorSSLError) and "WRONG_VERSION_NUMBER" in str(error):
                return "what answers speaks no TLS: plain HTTP"
        return _words(error)

    def _clocks(self, date: str) -> Finding:
        """Ours and the homeserver's (RFC 9110 §6.6.1)."""
        try:
            apart_s = abs(email.utils.parsedate_to_datetime(date).timestamp() - self.clock.wall())
        except (TypeError, ValueError, OverflowError):
            return warning("clock", "the homeserver's Date cannot be read", "look at the proxy in front of it")
        if apart_s < LATE_S:
            return ok("clock", "agrees with the homeserver's")
        grade = fault if apart_s >= WRONG_S else warning
        seen = f"is {apart_s:.0f} s apart from the homeserver's"
        return grade("clock", seen, "let both machines keep time (chrony, systemd-timesyncd)")

    async def _certificate(self) -> AsyncIterator[Finding]:
        """Of a homeserver behind TLS: whether it lasts."""
        url = URL(self.settings.homeserver_url)
        if url.scheme != "https" or url.host is None:
            return
        try:
            async with asyncio.timeout(self.settings.request_timeout_s):
                _, writer = await asyncio.open_connection(url.host, url.port or 443, ssl=ssl.create_default_context())
                certificate = writer.get_extra_info("peercert") or {}
                writer.close()
        except (OSError, TimeoutError) as error:
            yield warning("homeserver TLS", f"the certificate could not be looked at ({_words(error)})")
            return
        if ends := certificate.get("notAfter"):
            days = (ssl.cert_time_to_seconds(ends) - self.clock.wall()) / _DAY_S
            renew = warning("homeserver TLS", f"the certificate ends in {days:.0f} days", "renew it")
            yield renew if days < RENEW_DAYS else ok("homeserver TLS", f"the certificate lasts for {days:.0f} days")

    async def _known(self, *, bridge_runs: bool) -> AsyncIterator[Finding]:
        link = HomeserverLink(self.settings, clock=self.clock, entropy=self.entropy, retry=RetryPolicy())
        link.open()
        client = Client(link)
        try:
            registration = await self._registration(client)
            yield registration
            if self.settings.puppet_token:
                yield await self._puppets(client)
            if bridge_runs and not registration.advice:
                yield await self._ping(client)
        finally:
            await link.close()

    async def _registration(self, client: Client) -> Finding:
        bot = f"@{self.settings.bot_localpart}:{self.settings.server_name}"
        try:
            us = await client.whoami(give_up_after_s=self.settings.request_timeout_s)
        except MatrixError as error:
            return _refusal("registration", error)
        if us != bot:
            seen = f"the homeserver takes us for {us}, not for {bot}"
            return fault("registration", seen, "homeserver.server_name, appservice.bot_localpart and it must agree")
        return ok("registration", "the homeserver knows us")

    async def _puppets(self, client: Client) -> Finding:
        try:
            token = self.settings.puppet_token
            await client.whoami(token=token, give_up_after_s=self.settings.request_timeout_s)
        except MatrixError as error:
            return _refusal("registration of puppets", error)
        return ok("registration of puppets", "the homeserver knows it")

    async def _ping(self, client: Client) -> Finding:
        """Whether the homeserver reaches the bridge (specification, "Pinging")."""
        settings = self.settings
        txn_id = f"doctor-{self.entropy.token(16)}"
        try:
            await client.ping(settings.appservice_id, txn_id, give_up_after_s=settings.request_timeout_s)
        except MatrixError as error:
            if error.errcode == "M_UNRECOGNIZED":
                return warning("homeserver to bridge", "it knows no ping, so nobody can tell", "upgrade the homeserver")
            seen = f"it cannot deliver to us ({error.errcode})"
            advice = "does `url` of the registration lead to appservice.listen, and is hs_token the same in both?"
            return fault("homeserver to bridge", seen, advice)
        return ok("homeserver to bridge", "it reaches us")


def _refusal(subject: str, error: MatrixError) -> Finding:
    if error.errcode == "M_UNKNOWN_TOKEN":
        advice = (
            "list the file of generate-registration (Synapse: app_service_config_files), and restart the homeserver"
        )
        return fault(subject, "the homeserver does not know it, or has one with other tokens", advice)
    return fault(subject, f"the homeserver refuses it ({error})", "the homeserver's log says why")


def _words(error: BaseException) -> str:
    """What went wrong on the way, without the words of libraries around it."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, TimeoutError):
        return "it did not answer in time"
    if isinstance(cause, OSError) and not isinstance(cause, ssl.SSLError) and (cause.errno or 0) > 0:
        return os.strerror(cause.errno or 0)
    return getattr(cause, "strerror", None) or str(error) or type(error).__name__
