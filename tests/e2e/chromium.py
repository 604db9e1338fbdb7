"""A person's browser: Debian's Chromium with a tone for a microphone, and a Matrix client in each of its pages."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from playwright.async_api import Browser, BrowserContext, Page, Playwright
from playwright.async_api import Error as PlaywrightError

from tests.e2e.sound import Heard, Samples, Tone, measure, sine, write_wav
from tests.patience import PATIENCE_S

EXECUTABLE = "/usr/bin/chromium"
_TONE_RATE_HZ = 48000
_MESSAGES_KEPT = 80
_NOISE = ("FetchHttpApi", "MatrixRTCSession", "pendingEvent", "remote echo", "Event sent to")
"""What the SDK says about every request and event."""

_RSA_CERTIFICATE = """async () => {
    const algorithm = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256", modulusLength: 2048 };
    algorithm.publicExponent = new Uint8Array([1, 0, 1]);
    const certificate = await RTCPeerConnection.generateCertificate(algorithm);
    window.rsaCertificatesShown = 0;
    window.RTCPeerConnection = class extends RTCPeerConnection {
        constructor(configuration) {
            super({ ...configuration, certificates: [certificate] });
            window.rsaCertificatesShown += 1;
        }
    };
}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A Matrix user of the tests: name, password, and the telephone number that rings there."""

    user_id: str
    password: str
    number: str

    @property
    def localpart(self) -> str:
        """The user id without `@` and server."""
        return self.user_id[1:].partition(":")[0]


async def launch(playwright: Playwright, directory: Path, tone: Tone) -> Browser:
    """One browser process: its microphone plays `tone` for ever, so each tone needs a process of its own."""
    # Whole seconds of whole-numbered pitches: the file repeats without a click.
    wav = directory / f"microphone-{tone.pitch_hz:.0f}.wav"
    write_wav(wav, sine(tone, rate_hz=_TONE_RATE_HZ, seconds=10), rate_hz=_TONE_RATE_HZ)
    return await playwright.chromium.launch(
        executable_path=EXECUTABLE,
        headless=True,
        args=[
            "--no-sandbox",
            "--use-fake-ui-for-media-stream",
            "--use-fake-device-for-media-stream",
            f"--use-file-for-fake-audio-capture={wav}",
            "--autoplay-policy=no-user-gesture-required",
            "--allow-loopback-in-peer-connection",
            "--disable-features=WebRtcHideLocalIpsWithMdns",
        ],
    )


class Device:
    """One device of a person: a page of its own storage, logged in; an asynchronous context.

    It accepts every invitation at once, as a client does whose user knows the number; with `joins=False` it waits.
    """

    def __init__(
        self, browser: Browser, page_url: str, homeserver: str, person: Person, name: str, *, joins: bool = True
    ) -> None:
        self.person = person
        self.name = name
        self._joins = joins
        self._browser = browser
        self._page_url = page_url
        self._homeserver = homeserver
        self._context: BrowserContext | None = None
        self._page: Page | None = None
        self._messages: list[str] = []

    @property
    def page(self) -> Page:
        """The page, once the device is open."""
        if self._page is None:
            raise RuntimeError(f"{self.name} is not open")
        return self._page

    async def __aenter__(self) -> Self:
        self._context = await self._browser.new_context(permissions=["microphone", "camera"])
        self._page = await self._context.new_page()
        self._page.set_default_timeout(PATIENCE_S * 1000)
        self._page.on("console", lambda message: self._keep(f"{message.type}: {message.text}"))
        self._page.on("pageerror", lambda error: self._keep(f"error: {error}"))
        await self._page.goto(self._page_url)
        await self._run(
            "login",
            {
                "homeserver": self._homeserver,
                "user": self.person.localpart,
                "password": self.person.password,
                "deviceId": self.name,
                "joins": self._joins,
            },
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._context is not None:
            await self._context.close()

    async def show_rsa_certificate(self) -> None:
        """From now on, instead of the usual one on a curve."""
        await self.page.evaluate(_RSA_CERTIFICATE)

    async def ghost_of(self, number: str) -> str:
        """The Matrix user that stands for a telephone number, looked up as a dial pad does."""
        found: list[str] = await self._run("lookUp", number)
        if not found:
            raise AssertionError(f"nobody answers for {number}")
        return found[0]

    async def room_with(self, *invited: str) -> str:
        """A new direct room."""
        room_id: str = await self._run("createRoom", list(invited))
        return room_id

    async def dial(self, number: str, **options: Any) -> str:
        """What a dial pad does: look the number up, make a room with it, call at once. Gives the room."""
        room_id = await self.room_with(await self.ghost_of(number))
        await self.place(room_id, **options)
        return room_id

    async def place(self, room_id: str, **options: Any) -> str:
        """Call in a room; options are `invitee`, `callId`, `codecs` and `lifetimeMs`. Gives the call id."""
        call_id: str = await self._run("place", {"roomId": room_id, **options})
        return call_id

    async def answer(self, **options: Any) -> None:
        """Accept the ringing call."""
        await self._run("answer", options)

    async def reject(self) -> None:
        """Decline the ringing call."""
        await self._run("reject")

    async def hang_up(self, reason: str = "user_hangup") -> None:
        """End the call."""
        await self._run("hangUp", reason)

    async def connect_both(self) -> None:
        """Leave the other ends of two calls to each other."""
        await self._run("connectBoth")

    async def press(self, digit: str) -> None:
        """Press a key of the keypad during a call; see `tests.e2e.handset` for more of that kind."""
        await self.look("(digit) => device.control('press', digit)", digit)

    @asynccontextmanager
    async def deaf(self) -> AsyncIterator[None]:
        """For as long as this lasts the device sends, but learns of nothing new: so that calls can cross."""
        await self._run("deafen")
        try:
            yield
        finally:
            await self._run("undeafen")

    async def listen(self, *, limit_s: float = PATIENCE_S) -> Heard:
        """Pitch and level of the call's sound once it is steady."""
        sound = await self._run("listen", limit_s * 1000)
        samples: Samples = np.array(sound["samples"], dtype=np.float64)
        return measure(samples, sound["sampleRate"])

    async def codecs(self) -> dict[str, str]:
        """MIME types in use, by direction."""
        result: dict[str, str] = await self._run("codecs")
        return result

    async def calls(self) -> list[dict[str, Any]]:
        """Every call this device has seen, oldest first."""
        result: list[dict[str, Any]] = await self._run("state")
        return result

    async def call_events(self, room_id: str) -> list[dict[str, Any]]:
        """The `m.call.*` events of a room, oldest first."""
        result: list[dict[str, Any]] = await self._run("callEvents", room_id)
        return result

    async def wait_state(self, *states: str, limit_s: float = PATIENCE_S) -> dict[str, Any]:
        """Wait until the newest call is in one of `states`; gives that call."""
        await self.wait_for("(states) => states.includes(device.calls.at(-1)?.state)", list(states), limit_s=limit_s)
        return (await self.calls())[-1]

    async def wait_ringing(self, *, limit_s: float = PATIENCE_S) -> dict[str, Any]:
        """Wait for an incoming call."""
        return await self.wait_state("ringing", limit_s=limit_s)

    async def wait_connected(self, *, limit_s: float = PATIENCE_S) -> dict[str, Any]:
        """Wait until the newest call has audio."""
        return await self.wait_state("connected", limit_s=limit_s)

    async def wait_survivor(self, *, limit_s: float = PATIENCE_S) -> dict[str, Any]:
        """Wait until exactly one call is connected and all others are over; gives that call."""
        count = "device.calls.filter(({ state }) => state === 'connected').length"
        over = "device.calls.every(({ state }) => ['connected', 'ended'].includes(state))"
        await self.wait_for(f"() => {count} === 1 && {over}", None, limit_s=limit_s)
        return next(call for call in await self.calls() if call["state"] == "connected")

    async def wait_ended(self, *, limit_s: float = PATIENCE_S) -> dict[str, Any]:
        """Wait until the newest call is over."""
        return await self.wait_state("ended", limit_s=limit_s)

    async def wait_notice(self, room_id: str, *, limit_s: float = PATIENCE_S) -> str:
        """Wait until somebody else wrote something in the room; gives the text."""
        await self.wait_for("(roomId) => device.notices(roomId).length > 0", room_id, limit_s=limit_s)
        notices: list[str] = await self._run("notices", room_id)
        return notices[-1]

    async def ask(self, room_id: str, text: str, *, limit_s: float = PATIENCE_S) -> str:
        """Write in a room, and wait for what somebody else writes next; gives that."""
        before = len(await self._run("notices", room_id))
        await self._run("say", {"roomId": room_id, "text": text})
        look = "([roomId, count]) => device.notices(roomId).length > count"
        await self.wait_for(look, [room_id, before], limit_s=limit_s)
        notices: list[str] = await self._run("notices", room_id)
        return notices[-1]

    async def wait_room_with(self, user_id: str, *, limit_s: float = PATIENCE_S) -> str:
        """Wait until there is a room with somebody; gives the room."""
        await self.wait_for("(userId) => device.roomsWith(userId).length > 0", user_id, limit_s=limit_s)
        rooms: list[str] = await self._run("roomsWith", user_id)
        return rooms[0]

    async def wait_invited(self, *, limit_s: float = PATIENCE_S) -> str:
        """Wait for an invitation to a room; gives the room."""
        await self.wait_for("() => device.invitations().length > 0", None, limit_s=limit_s)
        invitations: list[str] = await self._run("invitations")
        return invitations[0]

    async def join(self, room_id: str) -> None:
        """Accept an invitation."""
        await self._run("joinRoom", room_id)

    async def wait_member(self, room_id: str, user_id: str, *, limit_s: float = PATIENCE_S) -> None:
        """Wait until `user_id` is in the room."""
        look = "([roomId, userId]) => device.members(roomId).includes(userId)"
        await self.wait_for(look, [room_id, user_id], limit_s=limit_s)

    async def wait_for(self, expression: str, argument: Any, *, limit_s: float = PATIENCE_S) -> None:
        """Wait until a function of the page is true; fails with everything the device has seen."""
        try:
            await self.page.wait_for_function(expression, arg=argument, timeout=limit_s * 1000, polling=30)
        except PlaywrightError as error:
            raise AssertionError(f"{self.name} waited {limit_s:.0f} s: {expression}\n{await self.story()}") from error

    async def look(self, expression: str, argument: Any = None) -> Any:
        """What a function of the page gives: for what a test wants to see that others do not."""
        try:
            return await self.page.evaluate(expression, argument)
        except PlaywrightError as error:
            raise AssertionError(f"{self.name} could not look: {expression}: {error}") from error

    async def story(self) -> str:
        """The calls as this device saw them: for the message of a failed test."""
        calls = json.dumps(await self.calls(), indent=1)
        return f"calls of {self.name}: {calls}"

    def console_tail(self) -> str:
        """The end of what the page wrote to its console."""
        return "\n".join(self._messages)

    async def _run(self, method: str, argument: Any = None) -> Any:
        try:
            return await self.page.evaluate(
                "([method, argument]) => device[method](argument ?? undefined)", [method, argument]
            )
        except PlaywrightError as error:
            raise AssertionError(f"{self.name}: {method} failed: {error}") from error

    def _keep(self, message: str) -> None:
        if any(noise in message for noise in _NOISE):
            return
        self._messages.append(message)
        del self._messages[:-_MESSAGES_KEPT]
