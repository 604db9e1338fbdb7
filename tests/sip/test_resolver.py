"""Names sought at a name server of the tests' own: what it says, what it does not say, and what it should not say."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.sip.io import dns_client
from bridge.sip.io.dns_client import MIN_TTL_S, STALE_S, DnsClient
from bridge.sip.io.hosts_file import HostsFile
from bridge.sip.io.resolver import Located, Resolver
from bridge.sip.settings import DnsMode, Transport
from bridge.sip.targets import MAX_SERVERS
from tests.sip.name_server import NameServer

UDP, TCP, TLS = Transport
NAME = "trunk.example.org"


@pytest.fixture
async def server() -> AsyncIterator[NameServer]:
    async with NameServer() as server:
        yield server


@pytest.fixture
def resolver(server: NameServer, tmp_path: Path) -> Resolver:
    return Resolver(DnsClient((server.address,)), HostsFile(tmp_path / "hosts"))


class Clock:
    """The event loop's clock, put forward."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead_s = 0.0
        loop = asyncio.get_running_loop()
        real = loop.time
        monkeypatch.setattr(loop, "time", lambda: real() + self.ahead_s)


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def hosts(located: Located) -> list[tuple[str, int]]:
    return [(target.host, target.port) for target in located.targets]


async def test_srv_records_name_hosts_and_ports_in_their_order(server: NameServer, resolver: Resolver) -> None:
    server.add(f"_sip._udp.{NAME}", "SRV", "20 0 5070 b.example.org.", "10 0 5080 a.example.org.")
    server.add("a.example.org", "A", "192.0.2.1")
    server.add("b.example.org", "A", "192.0.2.2")
    assert hosts(await resolver.locate(NAME, 0, UDP)) == [("192.0.2.1", 5080), ("192.0.2.2", 5070)]
    assert resolver.known(NAME, 0, UDP) == (("192.0.2.1", 5080), ("192.0.2.2", 5070))


@pytest.mark.parametrize(("transport", "port"), [(UDP, 5060), (TCP, 5060), (TLS, 5061)])
async def test_a_name_without_srv_records_is_its_own_server(
    server: NameServer, resolver: Resolver, transport: Transport, port: int
) -> None:
    server.add(NAME, "A", "192.0.2.1")
    server.add(NAME, "AAAA", "2001:db8::1")
    assert hosts(await resolver.locate(NAME, 0, transport)) == [("2001:db8::1", port), ("192.0.2.1", port)]


async def test_a_port_spares_the_question_for_srv_records(server: NameServer, resolver: Resolver) -> None:
    server.add(f"_sip._udp.{NAME}", "SRV", "10 0 5080 a.example.org.")
    server.add(NAME, "A", "192.0.2.1")
    assert hosts(await resolver.locate(NAME, 5070, UDP)) == [("192.0.2.1", 5070)]
    assert not server.count(f"_sip._udp.{NAME}", "SRV")


async def test_a_numeric_address_is_asked_of_nobody(server: NameServer, resolver: Resolver) -> None:
    assert hosts(await resolver.locate("192.0.2.1", 0, TLS)) == [("192.0.2.1", 5061)]
    assert server.asked == []


async def test_naptr_chooses_the_transport(server: NameServer, resolver: Resolver) -> None:
    server.add(NAME, "NAPTR", f'50 1 "s" "SIP+D2T" "" _sip._tcp.{NAME}.', f'90 1 "s" "SIP+D2U" "" _sip._udp.{NAME}.')
    server.add(f"_sip._tcp.{NAME}", "SRV", "10 0 5080 a.example.org.")
    server.add("a.example.org", "A", "192.0.2.1")
    located = await resolver.locate(NAME, 0, UDP, dns_mode=DnsMode.NAPTR, usable=(UDP, TCP))
    assert located.targets == ((TCP, "192.0.2.1", 5080),)


async def test_without_naptr_the_configured_transport_is_sought(server: NameServer, resolver: Resolver) -> None:
    server.add(f"_sip._udp.{NAME}", "SRV", "10 0 5080 a.example.org.")
    server.add("a.example.org", "A", "192.0.2.1")
    located = await resolver.locate(NAME, 0, UDP, dns_mode=DnsMode.NAPTR, usable=(UDP, TCP))
    assert located.targets == ((UDP, "192.0.2.1", 5080),)


async def test_the_modes_ask_only_for_what_they_say(server: NameServer, resolver: Resolver) -> None:
    server.add(NAME, "A", "192.0.2.1")
    assert not (await resolver.locate(NAME, 0, UDP, dns_mode=DnsMode.SRV)).servers
    assert hosts(await resolver.locate(NAME, 0, UDP, dns_mode=DnsMode.ADDRESS)) == [("192.0.2.1", 5060)]
    assert server.count(f"_sip._udp.{NAME}", "SRV") == 1


async def test_a_service_that_is_refused_is_not_sought_at_the_name_itself(
    server: NameServer, resolver: Resolver
) -> None:
    server.add(f"_sip._udp.{NAME}", "SRV", "0 0 0 .")
    server.add(NAME, "A", "192.0.2.1")
    assert not (await resolver.locate(NAME, 0, UDP)).servers


async def test_an_alias_is_followed(server: NameServer, resolver: Resolver) -> None:
    server.add(NAME, "CNAME", "other.example.org.")
    server.add("other.example.org", "A", "192.0.2.1")
    assert hosts(await resolver.locate(NAME, 5060, UDP)) == [("192.0.2.1", 5060)]


async def test_aliases_that_run_in_a_circle_lead_nowhere(server: NameServer, resolver: Resolver) -> None:
    server.add(NAME, "CNAME", "other.example.org.")
    server.add("other.example.org", "CNAME", f"{NAME}.")
    assert not (await resolver.locate(NAME, 5060, UDP)).servers


async def test_a_thousand_records_cost_no_more_than_sixteen(server: NameServer, resolver: Resolver) -> None:
    records = [f"{number} 0 5060 h{number}.example.org." for number in range(1000)]
    server.add(f"_sip._udp.{NAME}", "SRV", *records)
    for number in range(1000):
        server.add(f"h{number}.example.org", "A", "192.0.2.1")
    located = await resolver.locate(NAME, 0, UDP)
    assert len(located.servers) == MAX_SERVERS
    assert len(server.asked) <= 2 * MAX_SERVERS + 1


async def test_addresses_of_no_single_host_are_not_taken(server: NameServer, resolver: Resolver) -> None:
    server.add(NAME, "A", "0.0.0.0", "224.0.0.1", "255.255.255.255", "240.0.0.1", "10.0.0.1")
    server.add(NAME, "AAAA", "::", "ff02::1")
    assert hosts(await resolver.locate(NAME, 5060, UDP)) == [("10.0.0.1", 5060)]


async def test_an_answer_is_used_until_its_ttl_and_then_asked_for_anew(
    server: NameServer, resolver: Resolver, clock: Clock
) -> None:
    server.add(NAME, "A", "192.0.2.1", ttl=60)
    server.add(NAME, "AAAA", "2001:db8::1", ttl=60)
    assert (await resolver.locate(NAME, 5060, UDP)).until == pytest.approx(
        asyncio.get_running_loop().time() + 60, abs=1
    )
    server.add(NAME, "A", "192.0.2.2", ttl=60)
    clock.ahead_s = 58
    assert ("192.0.2.1", 5060) in hosts(await resolver.locate(NAME, 5060, UDP))
    clock.ahead_s = 61
    assert resolver.known(NAME, 5060, UDP) == ()
    assert ("192.0.2.2", 5060) in hosts(await resolver.locate(NAME, 5060, UDP))


@pytest.mark.parametrize(("ttl", "expected"), [(0, MIN_TTL_S), (86_400, dns_client.MAX_TTL_S)])
async def test_a_ttl_has_a_floor_and_a_ceiling(
    server: NameServer, resolver: Resolver, ttl: int, expected: float
) -> None:
    server.add(NAME, "A", "192.0.2.1", ttl=ttl)
    server.add(NAME, "AAAA", "2001:db8::1", ttl=ttl)
    located = await resolver.locate(NAME, 5060, UDP)
    assert located.until == pytest.approx(asyncio.get_running_loop().time() + expected, abs=1)


async def test_a_name_that_does_not_exist_is_asked_for_again_soon(
    server: NameServer, resolver: Resolver, clock: Clock
) -> None:
    for _ in range(3):
        assert not (await resolver.locate(NAME, 5060, UDP)).servers
    assert server.count(NAME, "A") == 1
    server.add(NAME, "A", "192.0.2.1")
    clock.ahead_s = 16
    assert (await resolver.locate(NAME, 5060, UDP)).servers


@pytest.mark.parametrize("fault", ["failing", "silent"])
async def test_an_old_answer_is_used_while_the_name_server_fails_and_not_for_ever(
    server: NameServer, resolver: Resolver, clock: Clock, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(dns_client, "QUESTION_LIMIT_S", 0.05)
    server.add(NAME, "A", "192.0.2.1", ttl=60)
    await resolver.locate(NAME, 5060, UDP)
    setattr(server, fault, True)
    clock.ahead_s = 61 + STALE_S - 2
    assert hosts(await resolver.locate(NAME, 5060, UDP)) == [("192.0.2.1", 5060)]
    asked = len(server.asked)
    await resolver.locate(NAME, 5060, UDP)
    assert len(server.asked) == asked
    clock.ahead_s = 61 + STALE_S + 10
    assert not (await resolver.locate(NAME, 5060, UDP)).servers


async def test_a_name_that_was_taken_away_is_not_used_any_longer(
    server: NameServer, resolver: Resolver, clock: Clock
) -> None:
    server.add(NAME, "A", "192.0.2.1", ttl=60)
    await resolver.locate(NAME, 5060, UDP)
    server.remove(NAME, "A")
    clock.ahead_s = 61
    assert not (await resolver.locate(NAME, 5060, UDP)).servers


async def test_a_silent_name_server_costs_no_more_than_its_limit(
    server: NameServer, resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert dns_client.QUESTION_LIMIT_S <= 3
    monkeypatch.setattr(dns_client, "QUESTION_LIMIT_S", 0.2)
    server.silent = True
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert not (await resolver.locate(NAME, 5060, UDP)).servers
    assert loop.time() - began < 1


async def test_the_hosts_file_counts_more_than_the_name_server(
    server: NameServer, resolver: Resolver, tmp_path: Path
) -> None:
    server.add(NAME, "A", "192.0.2.1")
    (tmp_path / "hosts").write_text(f"# ours\n192.0.2.9 {NAME} alias.example.org # PBX\nnonsense x\n")
    assert hosts(await resolver.locate(NAME, 5060, UDP)) == [("192.0.2.9", 5060)]
    assert server.asked == []


async def test_a_name_without_a_dot_is_the_system_s(server: NameServer, resolver: Resolver) -> None:
    assert ("127.0.0.1", 5060) in hosts(await resolver.locate("localhost", 0, UDP))
    assert server.asked == []


@pytest.mark.parametrize("name", ["a..b", "x" * 300, "-", "é.example.org", ".", "a" * 64 + ".example.org"])
async def test_a_name_that_is_none_is_not_found(resolver: Resolver, name: str) -> None:
    assert not (await resolver.locate(name, 0, UDP)).servers
