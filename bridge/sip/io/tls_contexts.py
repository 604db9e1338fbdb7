"""The TLS contexts of the endpoint, made anew when a file that they were made of changes."""

import asyncio
import ssl
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from bridge.core.telemetry import Telemetry
from bridge.sip.io.certificates import CertificateError, client_context, expires_at, server_context
from bridge.sip.settings import SipSettings, TlsFiles, Transport, Trunk

_log = structlog.get_logger()

Stamp = tuple[int, int, int] | None
"""What changes when a file is written or replaced; `None` while it is not there."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Kept:
    """One context and what it was made of."""

    files: TlsFiles
    make: Callable[[], ssl.SSLContext]
    stamps: tuple[Stamp, ...] = ()
    context: ssl.SSLContext = field(init=False)
    expires: float | None = None
    """When our own certificate ends."""

    def __post_init__(self) -> None:
        self.stamps = _stamps(self.files)  # Before reading: what is written meanwhile is a change.
        self.load()

    def load(self) -> None:
        """Read the files; on a fault what was read before stays in use."""
        context = self.make()
        certificate = self.files.certificate
        self.expires = expires_at(certificate) if certificate is not None else None
        self.context = context


class TlsContexts:
    """Contexts for the listeners and for each trunk. New connections use the newest files; old ones live on."""

    def __init__(self, settings: SipSettings, telemetry: Telemetry) -> None:
        self._settings = settings
        self._telemetry = telemetry
        self._server: _Kept | None = None
        self._clients: dict[TlsFiles, _Kept] = {}

    def load(self) -> None:
        """Make what will surely be needed; raises `CertificateError` when a file cannot be used."""
        self._make()
        self._tell_expiry()

    def _make(self) -> None:
        if any(listener.transport is Transport.TLS for listener in self._settings.listeners):
            self.server()
        for trunk in self._settings.trunks:
            if trunk.transport is Transport.TLS:
                self.client(trunk.tls.files)

    def prepare(self, settings: SipSettings, left: Collection[Trunk] = ()) -> "TlsContexts":
        """The same for other trunks, with what need not be read again; raises `CertificateError`. On any thread.

        Calls of trunks that are `left` may need a new connection yet, with the certificates of then.
        """
        ready = TlsContexts(settings, self._telemetry)
        ready._server = self._server
        needed = ready._files_of((*settings.trunks, *left))
        ready._clients = {files: kept for files, kept in list(self._clients.items()) if files in needed}
        ready._make()
        return ready

    def take(self, ready: "TlsContexts") -> None:
        """Go by what was prepared, from the next connection on."""
        self._settings, self._server, self._clients = ready._settings, ready._server, ready._clients
        self._tell_expiry()

    def server(self) -> ssl.SSLContext:
        """For connections that we accept."""
        if self._server is None:
            tls = self._settings.tls
            if tls.certificate is None or tls.private_key is None:
                raise CertificateError("certificate", "listening with TLS needs a certificate and its key")
            self._server = _Kept(files=tls, make=lambda: server_context(tls))
        return self._server.context

    def client(self, own: TlsFiles) -> ssl.SSLContext:
        """For connections that we open, with a trunk's own files, or none; ours are for what it has none of."""
        files = self._completed(own)
        kept = self._clients.get(files)
        if kept is None:
            kept = self._clients[files] = _Kept(files=files, make=lambda: client_context(files))
        return kept.context

    async def refresh(self) -> None:
        """Look whether files have changed, and use them if they are good."""
        for kept in self._all():
            stamps = _stamps(kept.files)
            if stamps != kept.stamps:
                kept.stamps = stamps
                await self._renew(kept)

    async def _renew(self, kept: _Kept) -> None:
        try:
            await asyncio.to_thread(kept.load)
        except CertificateError as error:
            self._telemetry.count("tls_reloads_total", outcome="failed")
            _log.warning("tls_reload_failed", setting=error.setting, error=str(error))
            return
        self._telemetry.count("tls_reloads_total", outcome="done")
        _log.info("tls_reloaded", certificate=str(kept.files.certificate or ""), ca_file=str(kept.files.ca_file or ""))
        self._tell_expiry()

    def _tell_expiry(self) -> None:
        """0 where there is no certificate; for those of trunks that are left nobody has to care any more."""
        needed = self._files_of(self._settings.trunks)
        clients = [kept for files, kept in self._clients.items() if files in needed]
        used = [*([self._server] if self._server else []), *clients]
        ends = [kept.expires for kept in used if kept.expires is not None]
        self._telemetry.gauge("tls_certificate_expires_timestamp_seconds", min(ends, default=0.0))

    def _all(self) -> list[_Kept]:
        return [*([self._server] if self._server else []), *self._clients.values()]

    def _files_of(self, trunks: Iterable[Trunk]) -> set[TlsFiles]:
        """What connections to these trunks are made with, and those to peers that none of them told of."""
        return {self._completed(files) for files in (TlsFiles(), *(trunk.tls.files for trunk in trunks))}

    def _completed(self, own: TlsFiles) -> TlsFiles:
        ours = self._settings.tls
        identity = own if own.certificate is not None else ours
        return TlsFiles(
            certificate=identity.certificate,
            private_key=identity.private_key,
            ca_file=own.ca_file or ours.ca_file,
        )


def _stamps(files: TlsFiles) -> tuple[Stamp, ...]:
    return tuple(_stamp(file) for file in (files.certificate, files.private_key, files.ca_file) if file is not None)


def _stamp(file: Path) -> Stamp:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
