"""Which servers a name has and in which order they are tried: RFC 3263 §4, RFC 2782, RFC 7984."""

from collections import Counter

import pytest

from bridge.core.entropy import SeededEntropy
from bridge.sip.settings import Transport
from bridge.sip.targets import (
    MAX_ADDRESSES,
    MAX_SERVERS,
    NaptrRecord,
    Server,
    SrvRecord,
    Target,
    alternating,
    by_naptr,
    in_order,
    offered,
    server_at,
    servers_of,
    srv_name,
)

ALL = tuple(Transport)


def naptr(order: int, preference: int, service: str, flags: str = "s", replacement: str = "") -> NaptrRecord:
    replacement = replacement or f"{service.lower()}.example.org"
    return NaptrRecord(order=order, preference=preference, flags=flags, service=service, replacement=replacement)


def srv(priority: int, weight: int, host: str, port: int = 5060) -> SrvRecord:
    return SrvRecord(priority=priority, weight=weight, port=port, host=host)


def server(priority: int, weight: int, *hosts: str) -> Server:
    return Server(priority=priority, weight=weight, targets=tuple(Target(Transport.UDP, host, 5060) for host in hosts))


@pytest.mark.parametrize(
    ("records", "usable", "expected"),
    [
        ([naptr(50, 50, "SIP+D2T"), naptr(90, 50, "SIP+D2U")], ALL, [Transport.TCP, Transport.UDP]),
        ([naptr(90, 50, "SIP+D2T"), naptr(50, 50, "SIP+D2U")], ALL, [Transport.UDP, Transport.TCP]),
        ([naptr(50, 20, "SIP+D2T"), naptr(50, 10, "SIPS+D2T")], ALL, [Transport.TLS, Transport.TCP]),
        ([naptr(50, 50, "SIPS+D2T"), naptr(90, 50, "SIP+D2U")], (Transport.UDP,), [Transport.UDP]),
        ([naptr(50, 50, "SIP+D2S"), naptr(90, 50, "sip+d2u")], ALL, [Transport.UDP]),
        ([naptr(50, 50, "SIP+D2U", flags="u"), naptr(90, 50, "SIP+D2T", flags="S")], ALL, [Transport.TCP]),
        ([naptr(50, 50, "E2U+sip")], ALL, []),
        ([], ALL, []),
    ],
)
def test_naptr_chooses_a_transport_that_we_have(
    records: list[NaptrRecord], usable: tuple[Transport, ...], expected: list[Transport]
) -> None:
    assert [transport for transport, _ in by_naptr(records, usable)] == expected


def test_the_best_naptr_record_of_a_transport_counts() -> None:
    records = [naptr(90, 1, "SIP+D2U", replacement="worse"), naptr(10, 1, "SIP+D2U", replacement="better")]
    assert by_naptr(records, ALL) == [(Transport.UDP, "better")]


@pytest.mark.parametrize(
    ("transport", "name"),
    [
        (Transport.UDP, "_sip._udp.example.org"),
        (Transport.TCP, "_sip._tcp.example.org"),
        (Transport.TLS, "_sips._tcp.example.org"),
    ],
)
def test_srv_records_have_the_name_of_their_transport(transport: Transport, name: str) -> None:
    assert srv_name(transport, "example.org") == name


def test_a_thousand_records_are_cut_to_the_most_important() -> None:
    kept = offered(srv(priority, 1, f"host{priority}") for priority in reversed(range(1000)))
    assert [record.priority for record in kept] == list(range(MAX_SERVERS))


def test_a_thousand_addresses_are_cut() -> None:
    (found,) = server_at([f"192.0.2.{number % 256}" for number in range(1000)], 5060, Transport.UDP)
    assert len(found.targets) == MAX_ADDRESSES


def test_a_service_that_is_not_offered_has_no_servers() -> None:
    assert offered([srv(0, 0, "")]) == []


def test_a_host_without_address_serves_nobody() -> None:
    records = [srv(1, 1, "one", 5070), srv(2, 1, "two")]
    found = servers_of(records, {"one": ["192.0.2.1"]}, Transport.TCP)
    assert found == (Server(priority=1, weight=1, targets=(Target(Transport.TCP, "192.0.2.1", 5070),)),)


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        (["a", "b"], ["a", "b"]),
        (["::1", "::2", "a", "b"], ["::1", "a", "::2", "b"]),
        (["a", "b", "c", "::1"], ["a", "::1", "b", "c"]),
        (["a", "a", "::1", "::1"], ["a", "::1"]),
        ([], []),
    ],
)
def test_families_take_turns(addresses: list[str], expected: list[str]) -> None:
    assert alternating(addresses) == expected


def test_a_lower_priority_is_always_tried_first() -> None:
    servers = [server(20, 1000, "c"), server(10, 0, "a"), server(20, 1, "d"), server(10, 5, "b")]
    for seed in range(100):
        order = [target.host for target in in_order(servers, SeededEntropy(seed))]
        assert set(order[:2]) == {"a", "b"}
        assert set(order[2:]) == {"c", "d"}


def test_all_addresses_of_a_server_are_tried_before_the_next_server() -> None:
    order = in_order([server(1, 0, "a", "::1"), server(2, 0, "b")], SeededEntropy(1))
    assert [target.host for target in order] == ["a", "::1", "b"]


def test_weights_share_the_load() -> None:
    entropy = SeededEntropy(7)
    servers = [server(1, 60, "a"), server(1, 30, "b"), server(1, 10, "c")]
    draws = 10_000
    firsts = Counter(in_order(servers, entropy)[0].host for _ in range(draws))
    for host, weight in (("a", 60), ("b", 30), ("c", 10)):
        assert abs(firsts[host] / draws - weight / 100) < 0.02


def test_weight_zero_is_rarely_but_sometimes_first() -> None:
    entropy = SeededEntropy(7)
    firsts = Counter(in_order([server(1, 0, "a"), server(1, 9, "b")], entropy)[0].host for _ in range(1000))
    assert 50 < firsts["a"] < 150


def test_weights_of_nothing_are_no_reason_to_fail() -> None:
    order = in_order([server(1, 0, "a"), server(1, 0, "b")], SeededEntropy(1))
    assert sorted(target.host for target in order) == ["a", "b"]


def test_a_target_that_two_servers_have_is_tried_once() -> None:
    assert len(in_order([server(1, 0, "a"), server(2, 0, "a")], SeededEntropy(1))) == 1
