"""Hosts are told apart by what they are, not by how they are written."""

import errno

import pytest

from bridge.core.addresses import (
    address_of,
    canonical_host,
    is_every,
    is_loopback,
    is_numeric,
    source_key,
    why_not_bound,
)


@pytest.mark.parametrize(
    ("host", "canonical", "numeric"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("2001:DB8:0::1", "2001:db8::1", True),
        ("fe80::1%eth0", "fe80::1", True),
        ("Trunk.Example.ORG", "trunk.example.org", False),
        ("192.0.2.256", "192.0.2.256", False),
        ("", "", False),
    ],
)
def test_each_address_and_each_name_has_one_spelling(host: str, canonical: str, numeric: bool) -> None:
    assert canonical_host(host) == canonical
    assert is_numeric(host) is numeric
    assert (address_of(host) is None) is not numeric


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "localhost"])
def test_this_machine_is_known_by_all_its_names(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "example.org", "0.0.0.0", ""])
def test_nothing_else_is_this_machine(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("host", "every"), [("0.0.0.0", True), ("::", True), ("0::0", True), ("::1", False), ("any", False)]
)
def test_a_socket_may_listen_everywhere(host: str, every: bool) -> None:
    assert is_every(host) is every


def test_an_ipv4_address_has_limits_of_its_own_and_an_ipv6_network_shares_its() -> None:
    assert source_key("192.0.2.1") == source_key("::ffff:192.0.2.1") != source_key("::ffff:192.0.2.2")
    assert source_key("2001:db8::1") == source_key("2001:db8::2%eth0") != source_key("2001:db8:0:1::1")
    assert source_key("nobody") == "nobody"


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (OSError(errno.EADDRINUSE, "taken"), "end it, or choose another port"),
        (OSError(errno.EADDRNOTAVAIL, "elsewhere"), "choose one that it has"),
        (OSError(errno.EACCES, "low"), "choose one above 1023"),
        (OSError(errno.EMFILE, "full"), "Too many open files"),
        (ValueError("no such scope"), "no such scope"),
    ],
)
def test_why_a_port_cannot_be_had_is_told_with_what_to_do(error: Exception, remedy: str) -> None:
    assert remedy in why_not_bound(error)
