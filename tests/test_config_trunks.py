"""Trunks in the configuration, and mistakes there."""

from pathlib import Path

import pytest

from bridge.config import (
    media_policies,
    sip_settings,
    warnings,
)
from bridge.media.formats import Codec
from bridge.media.policy import SipMediaPolicy, SrtpUse
from tests.config_files import MINIMAL, faults, load


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        ("trunks: {carrier: {server: a.b, tls: {server_name: a}}}", "trunks.carrier.tls", "with transport: udp"),
        (
            "trunks: {carrier: {server: a.b, transport: tls}}",
            "trunks.carrier.transport",
            "is tls, but sip.listen has no tls address",
        ),
        (
            "trunks: {carrier: {server: a.b, keep_alive_s: 3}}",
            "trunks.carrier.keep_alive_s",
            "expected 0, or 10 to 3600",
        ),
        ("trunks: {a: {server: h.b, rates: {'+49': 0.01}}}", "trunks.a.rates.+49", "put it in quotes"),
        ("trunks: {a: {server: h.b, rates: {'+49': '1 ct'}}}", "trunks.a.rates.+49", "an amount such as '0.0125'"),
        ("trunks: {a: {server: h.b, rate_step_s: 0}}", "trunks.a.rate_step_s", "1"),
        ("trunks: {Carrier: {server: a.b}}", "trunks.Carrier", "expected a name of a-z, 0-9"),
        ("trunks: {carrier: {server: 'sip:a.b'}}", "trunks.carrier.server", "not a URI, found 'sip:a.b'"),
        ("trunks: {carrier: {server: '[2001:db8::1]'}}", "trunks.carrier.server", "has no udp address of IPv6"),
        ("trunks: {carrier: }", "trunks.carrier.server", "is required"),
        ("trunks: {carrier: {server: 'a b'}}", "trunks.carrier.server", "expected a host name or an address"),
        ("trunks: {carrier: {server: a..b}}", "trunks.carrier.server", "with single dots between its parts"),
        ("trunks: {carrier: {server: 'a..b:5060'}}", "trunks.carrier.server", "with single dots between its parts"),
        ("trunks: {carrier: {server: my+pbx.lan}}", "trunks.carrier.server", "of letters, digits, hyphens"),
        ("trunks: {carrier: {server: -a.b}}", "trunks.carrier.server", "expected a host name or an address"),
        ("trunks: {carrier: {server: a-.b}}", "trunks.carrier.server", "expected a host name or an address"),
        (f"trunks: {{carrier: {{server: {64 * 'a'}.b}}}}", "trunks.carrier.server", "63 characters long at most"),
        (f"trunks: {{carrier: {{server: {127 * 'a.'}b}}}}", "trunks.carrier.server", "expected a host name"),
        ("trunks: {carrier: {server: 10.0.0.256}}", "trunks.carrier.server", "expected an address such as"),
        ("trunks: {carrier: {server: a.b, domain: c..d}}", "trunks.carrier.domain", "with single dots"),
        ("trunks: {carrier: {server: a.b, auth: basic}}", "trunks.carrier.auth", "expected register, digest or"),
        (
            "trunks: {carrier: {server: a.b, transport: tcp}}\nsip: {listen: [udp:127.0.0.1:5060]}",
            "trunks.carrier.transport",
            "is tcp, but sip.listen has no tcp address",
        ),
        ("trunks: {carrier: {server: a.b, sources: [192.0.2.1/24]}}", "trunks.carrier.sources[0]", "192.0.2.0/24?"),
        ("trunks: {carrier: {server: 'a.b:5060', dns: srv}}", "trunks.carrier.dns", "is not sought in the DNS"),
        ("trunks: {carrier: {server: 192.0.2.1, dns: naptr}}", "trunks.carrier.dns", "is not sought in the DNS"),
        ("trunks: {carrier: {server: a.b, failover_after_s: 0.1}}", "trunks.carrier.failover_after_s", "0.5"),
        ("trunks: {carrier: {server: a.b, options_misses: 0}}", "trunks.carrier.options_misses", "1"),
        ("trunks: {carrier: {server: a.b, caller_id: 'x y'}}", "trunks.carrier.caller_id", "expected a number"),
    ],
)
def test_a_mistake_is_explained(tmp_path: Path, text: str, path: str, words: str) -> None:
    found = faults(tmp_path, MINIMAL + text)
    assert set(found) == {path}
    assert words in found[path]


@pytest.mark.parametrize(
    ("setting", "path", "words"),
    [
        ("number_prefix: 'abc'", "number_prefix", "expected at most 16 digits"),
        ("region: XX", "region", "expected a country code"),
        ("number_format: plus", "number_format", "expected e164, digits, international or national"),
        ("identity_headers: [from]", "identity_headers[0]", "expected asserted, preferred or remote-party-id"),
        ("assert_identity: false", "assert_identity", "identity_headers takes its place"),
        ("max_calls: -1", "max_calls", "must be at least 0"),
        ("max_calls_per_s: '10'", "max_calls_per_s", "expected a number, found '10'"),
        ("codecs: [PCMA, pcma]", "codecs", "names a codec twice"),
        ("min_se_s: 600, session_expires_s: 120", "min_se_s", "must be at most session_expires_s, which is 120"),
        ('username: "alice\\n"', "username", "must be one line"),
        ('register_user: "alice\\nX-Evil: 1"', "register_user", "must be one line"),
        ('realm: "lab\\r\\n"', "realm", "must be one line"),
    ],
)
def test_a_trunk_that_cannot_be_is_explained(tmp_path: Path, setting: str, path: str, words: str) -> None:
    found = faults(tmp_path, MINIMAL + f"trunks: {{a: {{server: a.b, {setting}}}}}")
    assert words in found[f"trunks.a.{path}"]


@pytest.mark.parametrize(
    ("server", "host", "port"),
    [
        ("sip.example.net", "sip.example.net", 0),
        ("192.0.2.1:5070", "192.0.2.1", 5070),
        ("2001:db8::1", "2001:db8::1", 0),
        ("[2001:db8::1]", "2001:db8::1", 0),
        ("[2001:db8::1]:5070", "2001:db8::1", 5070),
    ],
)
def test_a_trunk_is_a_host_with_or_without_a_port(tmp_path: Path, server: str, host: str, port: int) -> None:
    text = MINIMAL + f"sip: {{listen: ['udp:[::1]:5060']}}\ntrunks: {{t: {{server: '{server}'}}}}"
    trunk = sip_settings(load(tmp_path, text)).trunks[0]
    assert (trunk.host, trunk.port) == (host, port)


def test_a_trunk_says_what_its_audio_is(tmp_path: Path) -> None:
    trunk = "{server: 127.0.0.1, codecs: [pcma], ptime_ms: 30, srtp: required, srtp_without_tls: true}"
    config = load(tmp_path, MINIMAL + f"trunks: {{pbx: {trunk}, plain: {{server: 127.0.0.1, srtp: off}}}}")
    assert media_policies(config) == {
        "pbx": SipMediaPolicy(codecs=(Codec.PCMA,), ptime_ms=30, srtp=SrtpUse.REQUIRED),
        "plain": SipMediaPolicy(),
    }
    assert any("trunks.pbx.srtp: the keys are sent in the clear" in warning for warning in warnings(config))


def test_keys_of_audio_are_not_sent_where_everybody_can_read_them(tmp_path: Path) -> None:
    found = faults(tmp_path, MINIMAL + "trunks: {pbx: {server: 127.0.0.1, srtp: optional}}")
    assert "needs transport: tls" in found["trunks.pbx.srtp"]


def test_a_codec_that_is_not_spoken_is_named(tmp_path: Path) -> None:
    found = faults(tmp_path, MINIMAL + "trunks: {pbx: {server: 127.0.0.1, codecs: [G729]}}")
    assert found == {"trunks.pbx.codecs[0]": "expected one of OPUS, G722, PCMU, PCMA, found 'G729'"}


def test_two_trunks_that_look_the_same_to_a_call_are_a_warning(tmp_path: Path) -> None:
    words = warnings(load(tmp_path, MINIMAL + "trunks: {a: {server: a.b}, b: {server: a.b}, c: {server: c.d}}"))
    assert [word for word in words if "are taken for" in word] == [
        "trunks.b.server: calls from there are taken for calls of trunks.a"
    ]


def test_two_accounts_at_one_trunk_are_told_apart(tmp_path: Path) -> None:
    account = "{server: a.b, auth: register, username: USER, password: secret}"
    text = f"trunks: {{a: {account.replace('USER', 'a')}, b: {account.replace('USER', 'b')}}}"
    assert not any("are taken for" in word for word in warnings(load(tmp_path, MINIMAL + text)))


@pytest.mark.parametrize(("sources", "open_to_all"), [("0.0.0.0/0", True), ("'::/0'", True), ("10.0.0.0/8", False)])
def test_a_trunk_that_is_everybody_is_a_warning(tmp_path: Path, sources: str, open_to_all: bool) -> None:
    words = warnings(load(tmp_path, MINIMAL + f"trunks: {{a: {{server: a.b, sources: [{sources}]}}}}"))
    assert any("all of it may call in" in word for word in words) is open_to_all


def test_a_trunk_elsewhere_on_sockets_of_this_machine_is_a_warning(tmp_path: Path) -> None:
    words = "\n".join(warnings(load(tmp_path, MINIMAL + "trunks: {carrier: {server: sip.example.net}}")))
    assert "media.rtp_host" in words
    assert "sip.listen" in words


def test_a_proxy_in_front_of_a_server_is_the_next_hop_and_the_server_the_domain(tmp_path: Path) -> None:
    text = "trunks: {a: {server: 'pbx.example:5080', outbound_proxy: 'edge.example:5070'}}"
    (trunk,) = sip_settings(load(tmp_path, MINIMAL + text)).trunks
    assert (trunk.host, trunk.port, trunk.outbound_proxy) == ("edge.example", 5070, True)
    assert (trunk.domain, trunk.domain_port) == ("pbx.example", 5080)


def test_numbers_are_those_of_the_trunks_own_country(tmp_path: Path) -> None:
    text = "numbers: {default_region: DE}\ntrunks: {a: {server: a.b}, b: {server: a.b, region: hu}}"
    german, hungarian = sip_settings(load(tmp_path, MINIMAL + text)).trunks
    assert (german.dial_rules.country_code, german.dial_rules.national_prefix) == ("49", "0")
    assert (hungarian.dial_rules.country_code, hungarian.dial_rules.national_prefix) == ("36", "06")


def test_a_device_keeps_its_instance_over_restarts_and_shares_it_with_no_other(tmp_path: Path) -> None:
    text = "trunks: {a: {server: a.b, register_outbound: true}, b: {server: a.b, register_outbound: true}}"
    first, again = (sip_settings(load(tmp_path, MINIMAL + text)).trunks for _ in range(2))
    assert first[0].instance.startswith("urn:uuid:")
    assert [trunk.instance for trunk in first] == [trunk.instance for trunk in again]
    assert first[0].instance != first[1].instance
