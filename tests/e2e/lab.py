"""The place where the end-to-end tests happen: one homeserver, one bridge, browsers, and a phone for each test."""

import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from playwright.async_api import Browser, Playwright

from deploy.demo.homeserver import Synapse
from tests.e2e.chromium import Device, Person, launch
from tests.e2e.desk_phone import DeskPhone
from tests.e2e.phone import TONE as PHONE_TONE
from tests.e2e.phone import Phone
from tests.e2e.running_bridge import PUPPETS, REGISTRATION, Bridge, Section
from tests.e2e.sound import Tone
from tests.peers.certificates import Authority
from tests.peers.kamailio import Kamailio
from tests.peers.process import LOOPBACK, PeerProcess, free_port

SERVER_NAME = "localhost"
PHONE = "+15550100"
"""Rings the phone that is its own trunk."""
SCRIPTED = "+15551100"
"""Reached through the trunk on which a test runs a scripted callee."""
SECURE = "+15553100"
"""Rings a phone that speaks TLS and SRTP only."""
WIDEBAND = "+15554100"
"""Rings a phone on a trunk that may speak Opus and G.722."""
EXTENSION = "+15552100"
"""A phone that registered at the PBX."""
COLLEAGUE = "+15552101"
"""Another one there."""
RING_TIMEOUT_S = 10
BOX_AFTER_S = 5
BROWSER_TONES = {"first": Tone(pitch_hz=440), "second": Tone(pitch_hz=1000)}

PUPPET_TOKEN = "speaks-for-every-local-user"
"""The homeserver knows it; the bridge only where a test gives it to it."""

_ADMINISTRATOR = "administrator"
_PASSWORD = "correct horse battery staple"
_PBX_DOMAIN = "lab.test"
_PBX_ACCOUNT = "trunkline"
_PBX_PASSWORD = "bridge-secret"
_EXTENSION_PASSWORD = "extension-secret"
_PEOPLE = 201


def _people() -> list[Person]:
    """People who may call; each has a number of its own, so that no test meets the call of another."""
    return [
        Person(user_id=f"@person{index}:{SERVER_NAME}", password=_PASSWORD, number=f"+1555900{index:04}")
        for index in range(_PEOPLE)
    ]


@dataclass(slots=True, kw_only=True)
class Lab:
    """What every test of a session shares."""

    directory: Path
    playwright: Playwright
    page_url: str
    homeserver: Synapse
    phone_port: int = field(default_factory=lambda: free_port(span=2, kept=True))
    secure_port: int = field(default_factory=lambda: free_port(span=2, kept=True))
    wideband_port: int = field(default_factory=lambda: free_port(span=2, kept=True))
    authority: Authority = field(init=False)
    scripted_port: int = field(default_factory=lambda: free_port(kept=True))
    pbx: Kamailio = field(init=False)
    bridge: Bridge = field(init=False)
    processes: list[PeerProcess] = field(default_factory=list)
    """Those whose logs explain a failure."""
    devices: list[Device] = field(default_factory=list)
    _browsers: dict[str, Browser] = field(default_factory=dict)
    _names: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    _next_person: "itertools.count[int]" = field(default_factory=itertools.count)
    _next_guest: "itertools.count[int]" = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        extensions = dict.fromkeys((EXTENSION, COLLEAGUE), _EXTENSION_PASSWORD)
        accounts = {_PBX_ACCOUNT: _PBX_PASSWORD, **extensions}
        self.pbx = Kamailio(self.folder("pbx"), accounts, domain=_PBX_DOMAIN)
        self.authority = Authority(self.folder("certificates"))
        self.bridge = Bridge(
            self.folder("bridge"),
            homeserver_url=self.homeserver.url,
            server_name=SERVER_NAME,
            settings=self._bridge_settings(),
        )
        self.processes = [self.bridge, self.pbx]

    async def check_bridge(self) -> None:
        """The bridge must not have met a fault of its own, nor an event that its state machines do not expect."""
        assert await self.bridge.metric("internal_errors_total") == 0
        assert await self.bridge.metric("call_illegal_events_total") == 0

    @asynccontextmanager
    async def configured(self, **sections: Section) -> AsyncIterator[None]:
        """For as long as this lasts the bridge runs with these settings over its own; it is started again twice."""
        try:
            # Also where it does not start with them: the next test must not find no bridge at all.
            await self.bridge.restart(**sections)
            yield
            await self.check_bridge()
        finally:
            await self.bridge.restart()

    def folder(self, name: str) -> Path:
        """A folder of its own."""
        path = self.directory / name
        path.mkdir()
        return path

    async def person(self) -> Person:
        """Somebody who has not called or been called yet."""
        return await self._registered(_people()[next(self._next_person)])

    async def person_behind_pbx(self) -> Person:
        """The one whose number the bridge has registered at the PBX."""
        return await self._registered(_people()[-1])

    async def person_with_box(self) -> Person:
        """The one for whom phones may leave messages."""
        return await self._registered(_people()[-2])

    async def guest(self) -> Person:
        """Somebody who may call nobody."""
        index = next(self._next_guest)
        return await self._registered(Person(user_id=f"@guest{index}:{SERVER_NAME}", password=_PASSWORD, number=""))

    async def administrators_token(self) -> str:
        """An access token of the homeserver's administrator."""
        await self.homeserver.register_user(_ADMINISTRATOR, _PASSWORD, admin=True)
        identifier = {"type": "m.id.user", "user": _ADMINISTRATOR}
        login = {"type": "m.login.password", "identifier": identifier, "password": _PASSWORD}
        async with (
            aiohttp.ClientSession(self.homeserver.url) as session,
            session.post("/_matrix/client/v3/login", json=login) as answer,
        ):
            return str((await answer.json())["access_token"])

    async def _registered(self, person: Person) -> Person:
        await self.homeserver.register_user(person.localpart, person.password)
        return person

    @asynccontextmanager
    async def device(self, person: Person, *, browser: str = "first", joins: bool = True) -> AsyncIterator[Device]:
        """A device of `person` in the browser whose microphone plays the tone of that name."""
        if browser not in self._browsers:
            self._browsers[browser] = await launch(self.playwright, self.directory, BROWSER_TONES[browser])
        name = f"{browser.upper()}{next(self._names)}"
        device = Device(self._browsers[browser], self.page_url, self.homeserver.url, person, name, joins=joins)
        self.devices.append(device)
        async with device:
            yield device

    @asynccontextmanager
    async def phone(self, *, answer: str = "auto", codecs: str = "PCMU/8000/1,PCMA/8000/1") -> AsyncIterator[Phone]:
        """The phone `PHONE`; with `answer="manual"` it rings until the test says otherwise."""
        name = f"phone-{next(self._names)}"
        phone = Phone(self.folder(name), PHONE, port=self.phone_port, answer=answer, codecs=codecs)
        async with self.running(phone):
            yield phone

    @asynccontextmanager
    async def desk_phone(self) -> AsyncIterator[DeskPhone]:
        """Another phone in the place of `PHONE`."""
        async with DeskPhone(port=self.phone_port, bridge_port=self.bridge.sip_port) as phone:
            yield phone

    @asynccontextmanager
    async def secure_phone(self) -> AsyncIterator[Phone]:
        """The phone `SECURE`."""
        phone = Phone(
            self.folder(f"secure-phone-{next(self._names)}"),
            SECURE,
            port=self.secure_port,
            transport="tls",
            account_options=";mediaenc=srtp-mand",
            identity=self.authority.issue(file="phone"),
            authority=self.authority,
        )
        async with self.running(phone):
            yield phone

    @asynccontextmanager
    async def wideband_phone(self, codecs: str) -> AsyncIterator[Phone]:
        """The phone `WIDEBAND`, with codecs as baresip names them."""
        folder = self.folder(f"wideband-phone-{next(self._names)}")
        phone = Phone(folder, WIDEBAND, port=self.wideband_port, codecs=codecs)
        async with self.running(phone):
            yield phone

    @asynccontextmanager
    async def extension(
        self, *, number: str = EXTENSION, answer: str = "auto", tone: Tone = PHONE_TONE, writes_to: str = ""
    ) -> AsyncIterator[Phone]:
        """A phone that registers at the PBX; it writes to the number `writes_to` there."""
        phone = Phone(
            self.folder(f"extension-{next(self._names)}"),
            number,
            tone=tone,
            port=free_port(span=2),
            answer=answer,
            registrar=f"{LOOPBACK}:{self.pbx.port}",
            domain=_PBX_DOMAIN,
            password=_EXTENSION_PASSWORD,
            writes_to=f"sip:{writes_to}@{_PBX_DOMAIN}" if writes_to else "",
        )
        async with self.running(phone):
            await phone.wait_registered()
            yield phone

    @asynccontextmanager
    async def running(self, peer: PeerProcess) -> AsyncIterator[None]:
        """Run a peer; its log is shown when the test fails."""
        self.processes.append(peer)
        async with peer:
            yield

    async def call_from(self, phone: Phone, person: Person) -> None:
        """The phone dials the number of a person."""
        await phone.call(person.number, through=self.bridge.tls_port if phone.encrypts else self.bridge.sip_port)

    def begin_test(self) -> None:
        """Forget the peers of the test before."""
        self.processes = [self.bridge, self.pbx]
        self.devices = []

    def logs(self) -> list[tuple[str, str]]:
        """What every process and page said, newest last: for the report of a failed test."""
        pages = [(f"page of {device.name}", device.console_tail()) for device in self.devices]
        return [*((peer.name, peer.log_tail()) for peer in self.processes), *pages]

    async def close(self) -> None:
        """End the browsers."""
        for browser in self._browsers.values():
            await browser.close()

    def _bridge_settings(self) -> dict[str, Section]:
        ours = self.authority.issue(file="bridge")
        tls = {
            "certificate": str(ours.certificate),
            "private_key": str(ours.private_key),
            "ca_file": str(self.authority.ca_file),
        }
        return {
            "sip": {"tls": tls},
            "trunks": {
                "phone": {
                    "server": f"{LOOPBACK}:{self.phone_port}",
                    "caller_id": "+15550199",
                    "join_crossing_calls": True,
                },
                "script": {
                    "server": f"{LOOPBACK}:{self.scripted_port}",
                    "accept_transfers": True,
                    "early_media": "answer",
                    "forwards": True,
                },
                "secure": {
                    # baresip listens with TLS on the port after its own.
                    "server": f"{LOOPBACK}:{self.secure_port + 1}",
                    "transport": "tls",
                    "srtp": "required",
                    "caller_id": "+15550199",
                },
                "wideband": {
                    "server": f"{LOOPBACK}:{self.wideband_port}",
                    "caller_id": "+15550199",
                    "codecs": ["OPUS", "G722", "PCMA"],
                },
                "pbx": self._pbx_trunk(),
            },
            "numbers": {"inbound": {person.number: person.user_id for person in _people()}},
            "permissions": {"outbound": _permissions([person.user_id for person in _people()])},
            "calls": {"ring_timeout_s": RING_TIMEOUT_S},
            "voicemail": {"users": [_people()[-2].user_id], "after_s": BOX_AFTER_S, "greeting_text": "Nobody."},
        }

    def _pbx_trunk(self) -> Section:
        return {
            "server": f"{LOOPBACK}:{self.pbx.port}",
            "domain": _PBX_DOMAIN,
            "auth": "register",
            "username": _PBX_ACCOUNT,
            "register_user": _people()[-1].number,
            "password": _PBX_PASSWORD,
            "accept_transfers": True,
            "texts": "page",
        }


def _permissions(who: Sequence[str]) -> list[Section]:
    prefixes = {"phone": "+15550", "script": "+15551", "pbx": "+15552", "secure": "+15553", "wideband": "+15554"}
    ways = [*prefixes.items(), ("pbx", _people()[-1].number)]
    return [{"who": list(who), "prefixes": [prefix], "trunk": trunk} for trunk, prefix in ways]


@asynccontextmanager
async def open_lab(directory: Path, playwright: Playwright, page_url: str) -> AsyncIterator[Lab]:
    """Start homeserver, PBX and bridge; end them in the opposite order."""
    registrations = [directory / "bridge" / name for name in (REGISTRATION, PUPPETS)]
    homeserver = Synapse(
        directory / "homeserver",
        server_name=SERVER_NAME,
        app_service_config_files=registrations,
        port=free_port(),
    )
    lab = Lab(directory=directory, playwright=playwright, page_url=page_url, homeserver=homeserver)
    # The homeserver is prepared for all that the bridge may be configured to do.
    await lab.bridge.generate_registration(homeserver={"puppet_token": PUPPET_TOKEN}, appservice={"sip_lookups": True})
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(lab.pbx)
        stack.push_async_callback(homeserver.stop)
        await homeserver.start()
        await stack.enter_async_context(lab.bridge)
        stack.push_async_callback(lab.close)
        yield lab
