"""This machine: its addresses and ports, programs, disk and files."""

import os
import shutil
import socket
import stat
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bridge.app.doctor.findings import Finding, fault, ok, warning
from bridge.config import Config, media_settings, trace_settings
from bridge.config.menus import spoken_in_menus
from bridge.config.values import Address
from bridge.config.voicemail import spoken_greetings
from bridge.core.addresses import address_of, is_every, why_not_bound
from bridge.media import native_path
from bridge.media.ice import machine_addresses, webrtc_hosts
from bridge.media.ports import ports_of_a_call
from bridge.media.settings import PathChoice
from bridge.media.speech_program import PROGRAM, can_speak
from bridge.numbers.sentences import Spoken

MIN_FREE_OCTETS = 200 << 20
_MIN_FREE_SHARE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineCheck:
    """Looks at what the configuration wants of this machine."""

    config: Config
    file: Path
    """Of the configuration."""

    def findings(self, *, bridge_runs: bool, trunk_hosts: Collection[str]) -> Iterator[Finding]:
        """Everything; sockets that a running bridge has are left alone."""
        yield from self._addresses()
        if not bridge_runs:
            yield from self._http_ports()
            yield from self._media_ports()
            yield from _as_whom()
        yield from self._nat(trunk_hosts)
        yield self._engine()
        yield from self._speech()
        yield from self._folders()
        yield from self._secrets_of_the_file()

    def _addresses(self) -> Iterator[Finding]:
        media = self.config.media
        for host in (media.rtp_host, *media.webrtc_hosts):
            if media.engine is not PathChoice.RTPENGINE and (error := _bind(host, 0, socket.SOCK_DGRAM)):
                yield fault("media", f"{host} cannot be used: {error}", advice="")

    def _http_ports(self) -> Iterator[Finding]:
        for setting, address in (
            ("appservice.listen", self.config.appservice.listen),
            ("ops.listen", self.config.ops.listen),
        ):
            yield _listening(setting, address)

    def _media_ports(self) -> Iterator[Finding]:
        """Each port is tried by itself and let go at once."""
        media, settings = self.config.media, media_settings(self.config)
        if media.engine is PathChoice.RTPENGINE or _bind(media.rtp_host, 0, socket.SOCK_DGRAM):
            return
        needed = ports_of_a_call(webrtc_hosts(settings))
        ports = range(settings.port_min, settings.port_max + 1)
        free = sum(_bind(media.rtp_host, port, socket.SOCK_DGRAM) is None for port in ports)
        seen = f"{free} of {len(ports)} are free, at {needed} a call enough for {free // needed} at once"
        if free < needed:
            yield fault("media.ports", seen, "choose a larger range, or end the programs that have these ports")
        elif free < len(ports) // 2:
            yield warning("media.ports", seen, "other programs have the rest: choose a range of your own")
        else:
            yield ok("media.ports", f"{seen}; let UDP to them through the firewall")

    def _nat(self, trunk_hosts: Collection[str]) -> Iterator[Finding]:
        """A trunk on the Internet writes to the address that we name."""
        if not any(_is_global(host) for host in trunk_hosts):
            return
        sip, media = self.config.sip, self.config.media
        here = [listener.host for listener in sip.listen]
        if not sip.advertised_host and _all_private(here):
            seen = "a trunk is on the Internet, and only private addresses are told to it"
            yield warning("sip.advertised_host", seen, "behind a NAT, set it to the public address")
        rtpengine = media.engine is PathChoice.RTPENGINE
        if not rtpengine and not media.advertised_host and _all_private([media.rtp_host]):
            seen = "a trunk is on the Internet, and a private address is told to it for the audio"
            yield warning(
                "media.advertised_host", seen, "behind a NAT, set it to the public address: else one-way audio"
            )

    def _engine(self) -> Finding:
        engine = self.config.media.engine
        if engine is PathChoice.RTPENGINE:
            return ok("media.engine", "rtpengine servers carry the audio")
        module = None if engine is PathChoice.PORTABLE else native_path.load()
        if module is not None and not native_path.fits(module):
            seen = "trunkline-native is of another version of Trunkline, so the portable engine carries the audio"
            return warning("media.engine", seen, "install it again: pip install ./bridge/media/native")
        if module is None:
            seen = "the portable engine carries the audio, some dozens of calls for each core"
            return warning("media.engine", seen, "install trunkline-native for more")
        return ok("media.engine", "the native engine carries the audio")

    def _speech(self) -> Iterator[Finding]:
        voicemail = self.config.voicemail
        if voicemail.users and voicemail.greeting is None and not can_speak():
            seen = f"{PROGRAM} is not installed, so callers hear a beep and no greeting"
            yield warning("voicemail", seen, f"install {PROGRAM}, or set voicemail.greeting")
        elif (texts := spoken_greetings(voicemail)) and not can_speak():
            seen = f"{PROGRAM} is not installed, so callers do not hear {len(texts)} of voicemail.greetings"
            yield warning("voicemail", seen, f"install {PROGRAM}, or give WAV files instead")
        if (texts := spoken_in_menus(self.config.menus)) and not can_speak():
            seen = f"{PROGRAM} is not installed, so callers hear silence for {len(texts)} texts of menus"
            yield warning("menus", seen, f"install {PROGRAM}, or give WAV files instead")
        aloud, engine = self.config.announcements, self.config.media.engine
        if aloud.spoken and engine is not PathChoice.RTPENGINE and not can_speak():
            silent = ", ".join(what for what in Spoken if aloud.recordings.get(what) is None)
            if silent:
                seen = f"{PROGRAM} is not installed, so users read these and do not hear them: {silent}"
                yield warning("announcements", seen, f"install {PROGRAM}, or set announcements.recordings")

    def _folders(self) -> Iterator[Finding]:
        """Where the bridge writes: whether it may, and whether there is room."""
        database, records = self.config.store.path, self.config.ops.call_records
        for file in (database, trace_settings(self.config).path, records):
            if file is not None and file.exists() and not os.access(file, os.W_OK):
                yield fault("files", f"{file} cannot be written", "chown it to the user of the bridge")
        for folder in sorted({file.parent for file in (database, records) if file is not None}):
            yield _folder(folder)
        if database.exists() and database.stat().st_mode & (stat.S_IROTH | stat.S_IRGRP):
            yield warning("files", f"{database} can be read by other users", f"chmod 600 {database}")

    def _secrets_of_the_file(self) -> Iterator[Finding]:
        if self.file.stat().st_mode & stat.S_IROTH and self._has_secrets():
            seen = f"{self.file} has secrets in it and can be read by every user"
            yield warning("files", seen, f"chmod o-rwx {self.file}, or move them to files of their own")

    def _has_secrets(self) -> bool:
        lines = self.file.read_text(errors="replace").splitlines()
        written = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
        secrets = [
            self.config.appservice.as_token,
            self.config.appservice.hs_token,
            *(trunk.password for trunk in self.config.trunks.values()),
        ]
        return any(value in written for secret in secrets if (value := secret.get_secret_value()))


def _listening(setting: str, address: Address) -> Finding:
    error = _bind(address.host, address.port, socket.SOCK_STREAM)
    if error is None:
        return ok(setting, "can be listened on")
    return fault(setting, f"cannot listen on {address.host}:{address.port}: {error}", advice="")


def _as_whom() -> Iterator[Finding]:
    """A bridge that runs has shown that it may write; of one that does not, root cannot tell."""
    if os.geteuid() == 0:
        seen = "looked at as root, who may write everywhere: whether the bridge may is not known"
        yield warning("doctor", seen, "run this as the user of the bridge (sudo -u trunkline, runuser -u trunkline --)")


def _folder(folder: Path) -> Finding:
    if not os.access(folder, os.W_OK | os.X_OK):
        return fault("files", f"nothing can be written in {folder}", "run this as the user of the bridge, or chown it")
    space = shutil.disk_usage(folder)
    seen = f"{space.free >> 20} MiB are free in {folder}"
    if space.free < MIN_FREE_OCTETS:
        return fault("disk", seen, "make room: nothing can be promised to the homeserver on a full disk")
    if space.free < space.total * _MIN_FREE_SHARE:
        return warning("disk", seen, "make room soon")
    return ok("disk", seen)


def _bind(host: str, port: int, kind: socket.SocketKind) -> str | None:
    """Why a socket cannot be bound there; `None` when it can."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=kind)[0]
        with socket.socket(family, kind) as bound:
            if kind is socket.SOCK_STREAM:
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
    except OSError as error:
        return why_not_bound(error)
    return None


def _all_private(hosts: Sequence[str]) -> bool:
    """Whether no address of these is one of the Internet; every address stands for those that the machine has."""
    known = [host for named in hosts for host in (machine_addresses() if is_every(named) else (named,))]
    return not any(_is_global(host) for host in known)


def _is_global(host: str) -> bool:
    address = address_of(host)
    return address is not None and address.is_global
