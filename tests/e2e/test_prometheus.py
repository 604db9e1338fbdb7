"""An operator's Prometheus watches a bridge that carries calls: panels are not empty, and a dead trunk is an alert."""

import json
import math
import re
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.e2e import scripted
from tests.e2e.exchange import PHONE, Exchange, open_exchange
from tests.e2e.running_bridge import Section
from tests.e2e.scripted_users import ScriptedUser
from tests.e2e.waiting import until
from tests.e2e.webrtc import WebRtcPeer, loopback_candidates, mute_offer
from tests.patience import PATIENCE_S
from tests.peers.certificates import Authority
from tests.peers.kamailio import Kamailio
from tests.peers.process import LOOPBACK, free_port
from tests.peers.prometheus import Prometheus
from tests.peers.rtpengine import Rtpengine
from tests.peers.sipp import SippUas

DASHBOARD = json.loads(Path("deploy/grafana/trunkline.json").read_text())
RULES = Path("deploy/prometheus/alerts.yml")
OF_SERVERS = "trunkline_media_server_"
"""Metrics of a bridge whose audio rtpengine carries."""
NEVER = "trunkline_sip_unexpected_events_total"
"""What must not happen, so that nobody begins it at 0."""
_MOST_SERIES = 1_000
ACCOUNT, PASSWORD = "+15550188", "secret"
NOT_PERMITTED = "+4930123456"
ENOUGH_PACKETS = 600
"""To judge the sound of both directions by, of both legs: three seconds."""


def queries(*, of_servers: bool = False) -> Iterator[tuple[str, str]]:
    """Title and query of every panel that shows what rtpengine servers do, or does not, over the last minute."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            query = target["expr"].replace("$__rate_interval", "1m").replace("$__range", "1m")
            if NEVER not in query and of_servers is (OF_SERVERS in query):
                yield panel["title"], re.sub(r"\$(trunk|direction)\b", ".*", query)


@asynccontextmanager
async def watched(directory: Path) -> AsyncIterator[tuple[Exchange, Prometheus]]:
    """A bridge with a phone, a PBX that it has registered at, a trunk that does not answer, and a certificate."""
    ours = Authority(directory).issue(file="bridge")
    phone_port, dead_port = free_port(span=2), free_port()
    async with Kamailio(directory, {ACCOUNT: PASSWORD}) as pbx:
        account = {"auth": "register", "username": ACCOUNT, "password": PASSWORD, "domain": pbx.domain}
        settings: dict[str, Section] = {
            "sip": {"tls": {"certificate": str(ours.certificate), "private_key": str(ours.private_key)}},
            "ops": {"test_calls": {"every_s": 10}},
            "trunks": {
                "phone": {"server": f"{LOOPBACK}:{phone_port}"},
                "other": {"server": f"{LOOPBACK}:{pbx.port}", "options_interval_s": 1, **account},
                "dead": {"server": f"{LOOPBACK}:{dead_port}", "options_interval_s": 1, "options_misses": 1},
            },
        }
        callee = scripted.answering(directory, hold_ms=60_000)
        async with (
            SippUas(directory, scenario=callee, port=phone_port, rtp_echo=True),
            open_exchange(directory, settings) as exchange,
            Prometheus(directory, scraped_port=exchange.bridge.ops_port, rules=RULES) as prometheus,
        ):
            yield exchange, prometheus


async def shows(prometheus: Prometheus, query: str, *, at: float | None = None) -> bool:
    """Whether a panel has anything to draw."""
    return any(math.isfinite(value) for _, value in await prometheus.query(query, at=at))


async def scraped(prometheus: Prometheus) -> float:
    """When the bridge was scraped last: while a scrape that came too late is the newest, no gauge has a value."""
    moments: list[float] = []

    async def known() -> bool:
        moments[:] = [value for _, value in await prometheus.query("timestamp(trunkline_build_info)")]
        return bool(moments)

    await until(known, lambda: "never scraped", limit_s=PATIENCE_S)
    return moments[0]


async def seen(prometheus: Prometheus, query: str) -> None:
    """Wait until Prometheus has scraped what makes this true."""
    await until(lambda: shows(prometheus, query), lambda: f"never true: {query}", limit_s=PATIENCE_S)


async def talk(user: ScriptedUser, peer: WebRtcPeer) -> None:
    """Call the phone with Opus alone, which the bridge has to transcode."""
    offer = await peer.offer()
    opus = re.search(r"a=rtpmap:(\d+) opus", offer)
    assert opus is not None
    await user.invite("call", re.sub(r"(m=audio \d+ \S+) .*?(\r?\n)", rf"\1 {opus[1]}\2", offer))
    await peer.connect(await user.answered("call"))


async def make_calls(exchange: Exchange, prometheus: Prometheus) -> None:
    """One call that is refused, and two that talk: where the first has made a time series, the second moves it."""
    stranger = await exchange.user("stranger", NOT_PERMITTED)
    await stranger.invite("call", mute_offer(1, port=exchange.mute_port))
    await stranger.rejected("call")
    for number, name in enumerate(("alice", "bob"), 1):
        user, peer = await exchange.user(name, PHONE), WebRtcPeer()
        packets = await exchange.bridge.metric("rtp_packets_total")
        try:
            await talk(user, peer)
            await seen(prometheus, f"sum(trunkline_rtp_packets_total) > {packets + ENOUGH_PACKETS}")
            await seen(prometheus, "trunkline_longest_call_seconds > 0")
            await user.hang_up("call")
            await seen(prometheus, f'sum(trunkline_calls_total{{result="success"}}) == {number}')
        finally:
            await peer.close()


async def check_alerts(prometheus: Prometheus) -> None:
    """The trunk that is dead is alerted, and no other; and nothing else is wrong, or will be."""
    down: set[str] = set()

    async def only_the_dead_one() -> bool:
        down.clear()
        down.update(labels["trunk"] for labels, _ in await prometheus.query('ALERTS{alertname="TrunkDown"}'))
        return down == {"dead"}

    await until(only_the_dead_one, lambda: f"down are {down}", limit_s=PATIENCE_S)
    assert await prometheus.query('ALERTS{alertname=~"InternalError|NoTrunkUp|CallsFail.*"}') == []
    # A scrape that comes too late begins this one, which wakes nobody before it has lasted.
    assert await prometheus.query('ALERTS{alertname="TrunklineDown",alertstate="firing"}') == []


async def test_every_panel_of_the_dashboard_shows_something_and_the_dead_trunk_is_alerted(tmp_path: Path) -> None:
    with loopback_candidates():
        async with watched(tmp_path) as (exchange, prometheus):
            await make_calls(exchange, prometheus)
            exchange.bridge.signal(signal.SIGHUP)
            for last in ("config_last_reload_successful", "self_test_success", "self_test_mos"):
                await seen(prometheus, f"trunkline_{last} > 0")
            moment = await scraped(prometheus)
            empty = [(title, query) for title, query in queries() if not await shows(prometheus, query, at=moment)]
            assert empty == []
            ((_, series),) = await prometheus.query('count({job="trunkline"})', at=moment)
            assert series < _MOST_SERIES
            await check_alerts(prometheus)


async def test_the_panels_of_rtpengine_servers_show_something(tmp_path: Path) -> None:
    async with Rtpengine(tmp_path) as server:
        media = {"engine": "rtpengine", "rtpengine": [f"{server.address.host}:{server.address.port}"]}
        async with (
            open_exchange(tmp_path, {"media": media}) as exchange,
            Prometheus(tmp_path, scraped_port=exchange.bridge.ops_port, rules=RULES) as prometheus,
        ):
            panels = list(queries(of_servers=True))
            assert panels
            for _, query in panels:
                await seen(prometheus, query)
