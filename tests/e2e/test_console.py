"""The console in a browser, beside a bridge that carries calls. Screenshots go to `.test/console`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Browser, Page, async_playwright, expect

from tests.e2e.chromium import EXECUTABLE
from tests.e2e.exchange import PHONE, Exchange, open_exchange
from tests.e2e.phone import Phone
from tests.e2e.scripted_users import ScriptedUser
from tests.e2e.waiting import until
from tests.e2e.webrtc import WebRtcPeer, mute_offer
from tests.peers.process import LOOPBACK

TOKEN = "the-token-of-the-console-of-the-tests"
SHOTS = Path(__file__).parent.parent.parent / ".test" / "console"
NASTY = "<script>document.title='run'</script><b>Mallory</b>"
WAIT_MS = 20_000
BARS = """() => [...document.querySelectorAll('.strip path')]
    .reduce((sum, path) => sum + path.getAttribute('d').split('M').length - 1, 0)"""
"""One for every few seconds of sound from one side."""


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Debian's Chromium."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=EXECUTABLE, args=["--no-sandbox"])
        yield browser
        await browser.close()


async def open_console(browser: Browser, exchange: Exchange) -> tuple[Page, list[str]]:
    """A page that nobody has logged in on, and what goes wrong in it."""
    page = await browser.new_page(viewport={"width": 1200, "height": 900})
    page.set_default_timeout(WAIT_MS)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    await page.goto(f"http://{LOOPBACK}:{exchange.bridge.ops_port}/console")
    return page, faults


async def take_pictures(page: Page, name: str) -> None:
    """As a desktop, in the dark, and on a phone."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=SHOTS / f"{name}-desktop.png", full_page=True)
    await page.emulate_media(color_scheme="dark")
    await page.screenshot(path=SHOTS / f"{name}-dark.png", full_page=True)
    await page.emulate_media(color_scheme="light")
    await page.set_viewport_size({"width": 390, "height": 844})
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390, f"{name} is too wide for a phone"
    await page.screenshot(path=SHOTS / f"{name}-phone.png", full_page=True)
    await page.set_viewport_size({"width": 1200, "height": 900})


@asynccontextmanager
async def talking(exchange: Exchange, name: str) -> AsyncIterator[ScriptedUser]:
    """A call with sound in both directions, for as long as this lasts."""
    peer, user = WebRtcPeer(), await exchange.user("alice", PHONE)
    try:
        await user.invite(name, await peer.offer())
        await peer.connect(await user.answered(name))
        yield user
    finally:
        await peer.close()


async def wait_for_more_bars(page: Page) -> None:
    """Until the picture of the sound has grown."""
    seen = await page.evaluate(BARS)

    async def grown() -> bool:
        return bool(await page.evaluate(BARS) > seen)

    await until(grown, lambda: f"the sound still has {seen} bars", limit_s=WAIT_MS / 1000)


async def test_an_operator_watches_a_call_explains_it_and_ends_it(tmp_path: Path) -> None:
    console = {"ops": {"console": {"token": TOKEN}}}
    async with (
        open_exchange(tmp_path, console) as exchange,
        Phone(tmp_path, PHONE, port=exchange.phone_port) as phone,
        chromium() as browser,
    ):
        page, faults = await open_console(browser, exchange)
        await page.get_by_label("Console token").fill("not the token")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_have_text("That is not the token.")
        assert "Live calls" not in await page.content()
        faults.clear()  # the browser calls a refusal an error
        await page.get_by_label("Console token").fill(TOKEN)
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("No calls at the moment.")).to_be_visible()

        async with talking(exchange, NASTY) as user:
            await expect(page.get_by_text("connected", exact=True)).to_be_visible(timeout=WAIT_MS)
            await wait_for_more_bars(page)
            await wait_for_more_bars(page)
            await take_pictures(page, "live")
            assert PHONE not in await page.content()
            await page.get_by_role("button", name="Show numbers").click()
            await page.get_by_role("link", name=PHONE).click()

            await expect(page.locator(".ladder summary", has_text="INVITE").first).to_be_visible()
            await expect(page.locator(".ladder .title", has_text="m.call.answer")).to_be_visible()
            await page.locator(".ladder summary").first.press("Enter")
            await expect(page.locator(".ladder pre").first).to_contain_text("Via: SIP/2.0/UDP")
            assert await page.title() != "run"
            await expect(page.get_by_text(NASTY)).to_be_visible()
            assert await page.locator("main b", has_text="Mallory").count() == 0

            await page.get_by_role("button", name="End call…").press("Enter")
            await page.get_by_role("button", name="Hang up on both sides").press("Enter")
            await phone.wait_closed()
            assert await user.hung_up(NASTY) == "user_hangup"
        await expect(page.locator(".facts")).to_contain_text("ended by operator", timeout=WAIT_MS)
        await page.get_by_role("button", name="Hide numbers").click()
        await take_pictures(page, "call")
        await page.get_by_role("link", name="Calls").first.click()
        await page.get_by_label("Result").select_option("policy")
        await page.get_by_role("button", name="Find").click()
        await expect(page.locator("tbody tr")).to_have_count(1)
        await take_pictures(page, "calls")
        await page.get_by_role("link", name="Refusals and spend").click()
        await take_pictures(page, "spend")
        assert faults == []
        assert await exchange.bridge.metric("internal_errors_total") == 0


async def test_an_operator_takes_a_trunk_out_of_service_and_puts_it_back(tmp_path: Path) -> None:
    console = {"ops": {"console": {"token": TOKEN}}}
    async with (
        open_exchange(tmp_path, console) as exchange,
        Phone(tmp_path, PHONE, port=exchange.phone_port) as phone,
        chromium() as browser,
    ):
        page, faults = await open_console(browser, exchange)
        await page.get_by_label("Console token").fill(TOKEN)
        await page.keyboard.press("Enter")
        await page.get_by_role("button", name="Take phone out of service").click()
        await expect(page.locator("#trunk-phone")).to_contain_text("out of service")
        user = await exchange.user("bob", PHONE)
        await user.invite("refused", mute_offer(1, port=exchange.mute_port))
        await user.rejected("refused")

        await page.get_by_role("button", name="Put phone back into service").click()
        await expect(page.locator("#trunk-phone")).to_contain_text("ready")
        await user.invite("taken", mute_offer(2, port=exchange.mute_port))
        await asyncio.gather(user.answered("taken"), phone.wait_answered())
        await expect(page.locator("#live tr", has_text="connecting")).to_be_visible(timeout=WAIT_MS)
        assert faults == []
