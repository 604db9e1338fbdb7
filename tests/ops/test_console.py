"""The console: who sees it, what a stranger's words do to it, and what its buttons do."""

import asyncio
import re
import threading
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import aiohttp
import pytest

from bridge.core.ids import CallId
from bridge.ops.console.access import IDLE_S
from bridge.ops.console.desk import LiveCallView
from bridge.ops.console.rendering import Renderer
from bridge.ops.console.views import STEPS
from bridge.ops.traces.items import Kind, Way
from bridge.store.traces.file import TraceFile
from bridge.store.traces.rows import TraceEntry
from tests.clock import ManualClock
from tests.ops.console_house import (
    ALICE,
    BEGUN,
    CALL,
    CARRIER,
    LIMIT,
    PHONE,
    TOKEN,
    StageDesk,
    browsing,
    serving,
    write_trace,
)
from tests.patience import PATIENCE_S

PATHS = (
    "/console",
    "/console/live",
    "/console/calls",
    f"/console/calls/{CALL}",
    f"/console/calls/{CALL}/live",
    "/console/spend",
)
BUTTONS = (f"/console/calls/{CALL}/end", f"/console/trunks/{CARRIER}/service", "/console/numbers")
NASTY = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{7*7}}"


def live(*, user: str = ALICE, number: str = PHONE, state: str = "connected", group: str = "") -> LiveCallView:
    return LiveCallView(
        call_id=CALL,
        direction="outbound",
        trunk=CARRIER,
        state=state,
        user=user,
        number=number,
        group=group,
        began_at=BEGUN,
        talk_s=61.0,
    )


@pytest.mark.parametrize("header", ["", "Bearer wrong", f"Basic {TOKEN}", "Bearer"])
async def test_who_has_not_the_token_sees_and_does_nothing(tmp_path: Path, header: str) -> None:
    write_trace(tmp_path / "traces")
    desk, clock = StageDesk(calls=[live()]), ManualClock(epoch=BEGUN)
    headers = {"Authorization": header} if header else {}
    async with serving(desk, tmp_path / "traces", clock=clock) as address, browsing(address) as browser:
        for path in PATHS:
            status, text = await browser.get(path, headers=headers)
            assert status in (200, 401)
            assert "Log in" in text
            assert CARRIER not in text
            assert CALL not in text
            clock.now += 60
        for path in BUTTONS:
            assert (await browser.post(path, {"on": "0"}, headers=headers))[0] == 401
            clock.now += 60
    assert (desk.ended, desk.out) == ([], set())


async def test_without_a_token_and_a_proxy_there_is_no_console() -> None:
    async with serving(StageDesk(), token="") as address, browsing(address) as browser:
        assert (await browser.log_in(""))[0] == 403
        assert (await browser.get("/console", headers={"Authorization": "Bearer "}))[0] == 401


async def test_the_token_opens_a_session_that_ends_by_itself_and_by_logging_out() -> None:
    clock = ManualClock(epoch=BEGUN)
    async with serving(StageDesk(calls=[live()]), clock=clock) as address, browsing(address) as browser:
        status, text = await browser.log_in()
        assert (status, CALL in text) == (200, True)
        cookie = next(iter(browser.session.cookie_jar))
        assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Strict", "/console")
        clock.now += IDLE_S
        assert CALL not in (await browser.get("/console"))[1]
        await browser.log_in()
        csrf = await browser.csrf()
        await browser.post("/console/logout", {"csrf": csrf})
        assert CALL not in (await browser.get("/console"))[1]


async def test_a_program_may_send_the_token_with_each_request() -> None:
    desk = StageDesk(calls=[live()])
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    async with serving(desk) as address, browsing(address) as browser:
        assert CALL in (await browser.get("/console", headers=bearer))[1]
        await browser.post(f"/console/calls/{CALL}/end", {}, headers=bearer)
    assert desk.ended == [CALL]


async def test_guessing_is_slowed_down_and_then_even_a_right_token_that_could_be_guessed_waits() -> None:
    clock, token = ManualClock(epoch=BEGUN), "sixteen-letters!"
    async with serving(StageDesk(), clock=clock, token=token) as address, browsing(address) as browser:
        answers = [(await browser.log_in(f"guess{n}"))[0] for n in range(6)]
        assert answers == [403] * 5 + [429]
        assert (await browser.log_in(token))[0] == 429
        clock.now += 31
        assert (await browser.log_in(token))[0] == 200


async def test_strangers_behind_the_same_proxy_lock_nobody_out_whose_token_cannot_be_guessed() -> None:
    async with serving(StageDesk(calls=[live()])) as address, browsing(address) as browser:
        answers = [(await browser.log_in(f"guess{n}"))[0] for n in range(8)]
        assert answers == [403] * 5 + [429] * 3
        assert CALL in (await browser.get("/console", headers={"Authorization": f"Bearer {TOKEN}"}))[1]
        assert (await browser.log_in())[0] == 200
        assert (await browser.log_in("guess"))[0] == 429


async def test_a_wrong_token_is_counted_however_it_comes() -> None:
    async with serving(StageDesk()) as address, browsing(address) as browser:
        await browser.get("/console")
        await browser.log_in("guess")
        for number in range(9):
            await browser.get("/console", headers={"Authorization": f"Bearer guess{number}"})
        _, metrics = await browser.get("/metrics")
        assert 'trunkline_wrong_tokens_total{at="console"} 10.0' in metrics


@pytest.mark.parametrize(
    ("proxies", "headers", "sees"),
    [
        (["127.0.0.0/8"], [("X-Forwarded-Email", "olga@example.org")], True),
        (["127.0.0.0/8"], [("X-Forwarded-Email", "olga"), ("Authorization", "Bearer of-the-proxy")], True),
        (["192.0.2.0/24"], [("X-Forwarded-Email", "olga@example.org")], False),
        (["127.0.0.0/8"], [("X-Forwarded-Email", "")], False),
        (["127.0.0.0/8"], [("X-Forwarded-Email", "olga"), ("X-Forwarded-Email", "eve")], False),
        (["127.0.0.0/8"], [("X-Other", "olga")], False),
        ([], [("X-Forwarded-Email", "olga@example.org")], False),
    ],
)
async def test_whom_a_trusted_proxy_names_is_let_in(
    proxies: list[str], headers: list[tuple[str, str]], sees: bool
) -> None:
    desk = StageDesk(calls=[live()])
    async with serving(desk, proxies=proxies) as address, browsing(address) as browser:
        _, text = await browser.get("/console", headers=headers)
        assert (CALL in text) is sees
        if sees:
            csrf = text.partition('name="csrf" value="')[2].partition('"')[0]
            await browser.post(f"/console/calls/{CALL}/end", {"csrf": "other"}, headers=headers)
            assert desk.ended == []
            await browser.post(f"/console/calls/{CALL}/end", {"csrf": csrf}, headers=headers)
            assert desk.ended == [CALL]


@pytest.mark.parametrize(
    ("form", "headers"),
    [
        ({}, {}),
        ({"csrf": "guess"}, {}),
        ({"csrf": "own"}, {"Sec-Fetch-Site": "cross-site"}),
        ({"csrf": "own"}, {"Sec-Fetch-Site": "same-site"}),
    ],
)
async def test_other_peoples_pages_cannot_press_buttons(form: dict[str, str], headers: dict[str, str]) -> None:
    desk = StageDesk(calls=[live()])
    async with serving(desk) as address, browsing(address) as browser:
        await browser.log_in()
        if form.get("csrf") == "own":
            form = {"csrf": await browser.csrf()}
        for path in BUTTONS:
            assert (await browser.post(path, {**form, "on": "0"}, headers=headers))[0] == 403
    assert (desk.ended, desk.out) == ([], set())


_URLENCODED = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("multipart/form-data", b"x", 415),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\nno name\r\n", 415),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="token"\r\n\r\nx\r\n--x--',
            415,
        ),
        (f"{_URLENCODED}; charset=none-such", b"token=x", 400),
        (_URLENCODED, b"\xff=\xff", 400),
        (_URLENCODED, b"token=" + b"x" * 2000, 413),
    ],
)
async def test_a_form_that_cannot_be_read_is_refused(content_type: str, body: bytes, status: int) -> None:
    async with serving(StageDesk()) as address, browsing(address) as browser:
        path, headers = f"{address}/console/login", {"Content-Type": content_type}
        async with browser.session.post(path, data=body, headers=headers) as answer:
            assert answer.status == status


async def test_strangers_words_are_shown_and_never_run(tmp_path: Path) -> None:
    write_trace(tmp_path / "traces", name=NASTY, title=NASTY)
    desk = StageDesk(calls=[live(user=NASTY, number=NASTY, state=NASTY)])
    async with serving(desk, tmp_path / "traces") as address, browsing(address) as browser:
        await browser.log_in()
        csrf = await browser.csrf()
        await browser.post("/console/numbers", {"csrf": csrf, "on": "1"})
        for path in ("/console", f"/console/calls/{CALL}", "/console/calls"):
            _, text = await browser.get(path, params={"text": NASTY, "reason": NASTY})
            assert "<script>alert" not in text, path
            assert "<img" not in text, path
            assert "&lt;script&gt;alert(1)" in text, path
            assert "49" not in text.partition("img src=x onerror=alert(1)&gt;")[2][:4]


async def test_pages_are_made_beside_the_loop_of_the_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[threading.Thread] = []
    render = Renderer.render

    def noting(self: Renderer, template: str, **values: object) -> str:
        threads.append(threading.current_thread())
        return render(self, template, **values)

    write_trace(tmp_path / "traces")
    async with serving(StageDesk(), tmp_path / "traces") as address, browsing(address) as browser:
        await browser.log_in()
        monkeypatch.setattr(Renderer, "render", noting)
        for path in ("/console", "/console/calls", f"/console/calls/{CALL}", "/console/spend"):
            assert (await browser.get(path))[0] == 200
    assert len(threads) == 4
    assert threading.main_thread() not in threads


async def test_pages_let_nothing_foreign_in() -> None:
    async with serving(StageDesk()) as address, browsing(address) as browser:
        async with browser.session.get("/console/login") as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "script-src 'self'" in policy
            assert "unsafe" not in policy
            assert answer.headers["X-Frame-Options"] == "DENY"
            assert answer.headers["Cache-Control"] == "no-store"
        for file in ("console.css", "console.js"):
            assert (await browser.get(f"/console/{file}"))[0] == 200
        assert (await browser.get("/console/../server.py"))[0] == 404


async def test_numbers_are_shown_to_who_asks_and_not_for_ever(tmp_path: Path) -> None:
    write_trace(tmp_path / "traces")
    clock, desk = ManualClock(epoch=BEGUN), StageDesk(calls=[live()])
    paths = ("/console", "/console/calls", f"/console/calls/{CALL}")
    async with serving(desk, tmp_path / "traces", clock=clock) as address, browsing(address) as browser:
        await browser.log_in()
        for path in paths:
            _, text = await browser.get(path)
            for person in (PHONE, ALICE, "Alice"):
                assert person not in text, path
        await browser.post("/console/numbers", {"csrf": await browser.csrf(), "on": "1"})
        for path in paths:
            assert PHONE in (await browser.get(path))[1]
        clock.now += 1_000
        assert PHONE not in (await browser.get("/console/calls"))[1]


async def test_a_trunk_is_taken_out_of_service_and_put_back() -> None:
    desk = StageDesk()
    async with serving(desk) as address, browsing(address) as browser:
        await browser.log_in()
        csrf = await browser.csrf()
        _, text = await browser.post(f"/console/trunks/{CARRIER}/service?back=/console", {"csrf": csrf, "on": "0"})
        assert "out of service" in text
        assert desk.out == {CARRIER}
        await browser.post(f"/console/trunks/{CARRIER}/service", {"csrf": csrf, "on": "1"})
        assert desk.out == set()
        assert (await browser.post("/console/trunks/nowhere/service", {"csrf": csrf, "on": "1"}))[0] == 404


async def test_calls_that_are_not_listed_are_counted_and_each_has_its_page_and_its_button() -> None:
    newest = CallId("newest-of-all")
    calls = [replace(live(), call_id=CallId(f"call-{number}")) for number in range(62)]
    desk = StageDesk(calls=[*calls, replace(live(), call_id=newest)])
    async with serving(desk) as address, browsing(address) as browser:
        await browser.log_in()
        _, text = await browser.get("/console")
        assert "63 live calls," in text
        assert "<dt>Live calls</dt><dd>63</dd>" in text
        assert "and 3 more go on" in text
        assert newest not in text
        page = f"/console/calls/{newest}"
        status, text = await browser.get(page)
        assert (status, "<b>connected</b>" in text, "Hang up on both sides" in text) == (200, True, True)
        await browser.post(f"{page}/end", {"csrf": await browser.csrf(page)})
        assert desk.ended == [newest]
        assert "and 2 more go on" in (await browser.get("/console"))[1]
        desk.calls = desk.calls[:60]
        assert "more go on" not in (await browser.get("/console"))[1]


@pytest.mark.parametrize("target", ["https://evil.example", "//evil.example", "/console/../x", "/console\r\nX: y"])
async def test_a_button_leads_back_to_a_page_of_ours_only(target: str) -> None:
    async with serving(StageDesk()) as address, browsing(address) as browser:
        await browser.log_in()
        csrf = await browser.csrf()
        button = browser.session.post(
            "/console/numbers", data={"csrf": csrf, "on": "0"}, params={"back": target}, allow_redirects=False
        )
        async with button as answer:
            assert answer.headers["Location"] == "/console"


async def test_calls_are_found_and_one_is_explained(tmp_path: Path) -> None:
    write_trace(tmp_path / "traces")
    async with (
        serving(StageDesk(), tmp_path / "traces", clock=ManualClock(epoch=BEGUN)) as address,
        browsing(address) as browser,
    ):
        await browser.log_in()
        for query, found in (("?text=5550100", True), ("?text=their-call", True), ("?result=server", False)):
            assert (CALL in (await browser.get(f"/console/calls{query}"))[1]) is found, query
        _, text = await browser.get(f"/console/calls/{CALL}")
        steps = ["m.call.invite", "INVITE", "180 Ringing", "m.call.answer", "connected", "m.call.hangup", "BYE"]
        positions = [text.index(f">{step}") for step in steps]
        assert positions == sorted(positions)
        assert text.count("<polyline") == 6
        assert (await browser.get("/console/calls/unknown"))[0] == 404
        _, text = await browser.get("/console/spend")
        for words in ("completed", "0.12 EUR", "4.23 EUR"):
            assert words in text


async def test_a_page_is_kept_current_until_its_reader_logs_out() -> None:
    desk = StageDesk()
    async with serving(desk) as address, browsing(address) as browser:
        await browser.log_in()
        csrf = await browser.csrf()
        async with browser.session.get("/console/live") as answer:
            assert answer.headers["Content-Type"] == "text/event-stream"
            first = await answer.content.readuntil(b"\n\n")
            assert b"No calls at the moment" in first
            desk.calls.append(live())
            assert CALL.encode() in await answer.content.readuntil(b"\n\n")
            await browser.post("/console/logout", {"csrf": csrf})
            assert (await answer.content.readuntil(b"\n\n")).startswith(b"event: over")


async def test_readers_leave_a_connection_for_the_metrics() -> None:
    async with serving(StageDesk()) as address, browsing(address) as browser, asyncio.timeout(PATIENCE_S):
        await browser.log_in()
        streams = [await browser.session.get("/console/live") for _ in range(13)]
        assert [answer.status for answer in streams] == [200] * 12 + [503]
        assert (await browser.get("/metrics"))[0] == 200
        for answer in streams:
            answer.close()


async def test_a_bridge_that_stops_ends_the_streams_in_order() -> None:
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar, timeout=LIMIT) as session:
        async with serving(StageDesk()) as address:
            async with session.post(f"{address}/console/login", data={"token": TOKEN}):
                pass
            stream = await session.get(f"{address}/console/live")
            await stream.content.readuntil(b"\n\n")
        # Cut off, the rest of a chunked answer would be missing, which is an error.
        assert await stream.content.read() == b""
        stream.close()


async def test_a_call_of_very_many_steps_is_shown_page_by_page(tmp_path: Path) -> None:
    write_trace(tmp_path / "traces")
    file = TraceFile(tmp_path / "traces")
    steps = [
        TraceEntry(call_id=CALL, at=BEGUN + 100 + number, kind=Kind.STATE, way=Way.NONE, title=f"step {number}.")
        for number in range(2 * STEPS)
    ]
    file.write(calls=[], names=[], entries=steps)
    file.close()
    page = f"/console/calls/{CALL}"
    async with serving(StageDesk(), tmp_path / "traces") as address, browsing(address) as browser:
        await browser.log_in()
        shown = [(await browser.get(f"{page}?page={number}"))[1] for number in range(1, 5)]
        assert 'href="?page=2"' in shown[0]
        assert "Earlier" not in shown[0]
        assert "step 999." in shown[2]
        assert "Later" not in shown[2]
        assert "no further steps" in shown[3]
        found = [number for text in shown for number in map(int, re.findall(r"step (\d+)\.", text))]
        assert found == list(range(2 * STEPS))
        assert all("<polyline" in text for text in shown), "the sound of the whole call is on each page"
        for wrong in ("0", "-1", "x", "²", "9" * 30):
            assert "step 0." in (await browser.get(f"{page}?page={wrong}"))[1]


async def test_a_group_is_named_and_is_nobody_to_be_hidden() -> None:
    desk = StageDesk(calls=[live(user="group:sales", state="hunting", group="sales")])
    async with serving(desk) as address, browsing(address) as browser:
        await browser.log_in()
        text = (await browser.get("/console"))[1]
    assert "group:sales" in text
    assert "for group sales" in text


def luminance(colour: str) -> float:
    """WCAG 2.2, "relative luminance"."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_told_from_its_ground(scheme: str) -> None:
    """WCAG 2.2 level AA (1.4.3) wants 4.5 to 1."""
    style = (files("bridge.ops.console") / "static" / "console.css").read_text()
    block = re.findall(r":root \{(.*?)\}", style, re.DOTALL)[scheme == "dark"]
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))
    pairs = [(ink, ground) for ink in ("ink", "soft") for ground in ("card", "ground", "calm-tint")]
    pairs += [(word, f"{word}-tint") for word in ("good", "fair", "poor")]
    pairs += [(word, "card") for word in ("accent", "good", "fair", "poor")] + [("accent-ink", "accent")]
    for ink, ground in pairs:
        low, high = sorted(luminance(colours[name]) for name in (ink, ground))
        assert (high + 0.05) / (low + 0.05) >= 4.5, f"{ink} on {ground}"
