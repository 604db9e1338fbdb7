"""The configuration: every mistake is found at once, and explained."""

import os
import wave
from collections.abc import Mapping
from pathlib import Path

import pytest

from bridge.app.plan import number_plan
from bridge.config import (
    Config,
    ConfigError,
    load_config,
    matrix_settings,
    media_policies,
    media_settings,
    sip_settings,
    warnings,
)
from bridge.core.ids import TrunkName
from bridge.media.formats import Codec
from bridge.media.hold_music import hold_tone
from bridge.media.policy import SipMediaPolicy, SrtpUse
from bridge.sip.settings import Listener, Transport, TrunkAuth

TOKENS = {"TRUNKLINE_AS_TOKEN": "a" * 32, "TRUNKLINE_HS_TOKEN": "h" * 32}
MINIMAL = """
homeserver: {url: "http://127.0.0.1:8008", server_name: example.org}
"""
TRUNK = "trunks: {a: {server: h.b}}\n"


def write(directory: Path, text: str) -> Path:
    file = directory / "trunkline.yaml"
    file.write_text(text)
    return file


def load(directory: Path, text: str, **variables: str) -> Config:
    return load_config(write(directory, text), {**TOKENS, **variables})


def faults(directory: Path, text: str, environ: Mapping[str, str] = TOKENS) -> dict[str, str]:
    with pytest.raises(ConfigError) as raised:
        load_config(write(directory, text), environ)
    return {fault.path: fault.message for fault in raised.value.faults}


def test_two_lines_and_two_tokens_are_enough(tmp_path: Path) -> None:
    config = load(tmp_path, MINIMAL)
    assert config.homeserver.server_name == "example.org"
    assert config.permissions.outbound == ()
    assert config.store.path == tmp_path / "trunkline.sqlite3"


def test_a_section_whose_settings_are_all_commented_out_takes_its_defaults(tmp_path: Path) -> None:
    config = load(tmp_path, MINIMAL + "store:\nops:\nmedia:\n  #ports: 1\nsip:\n  user_agent:\n")
    assert config.sip.user_agent == "Trunkline"


def test_all_faults_are_reported_at_once_with_path_and_line(tmp_path: Path) -> None:
    found = faults(
        tmp_path,
        """
homeserver: {url: "ftp://x", server_nam: example.org}
trunks:
  carrier: {auth: register, register_expires_s: abc, sources: [192.0.2.1/24]}
media: {ports: 30000-200}
calls: {ring_timeout_s: 9000}
loging: {}
""",
        {},
    )
    assert set(found) == {
        "homeserver.url",
        "homeserver.server_nam",
        "homeserver.server_name",
        "appservice.as_token",
        "appservice.hs_token",
        "trunks.carrier.server",
        "trunks.carrier.username",
        "trunks.carrier.password",
        "trunks.carrier.register_expires_s",
        "trunks.carrier.sources[0]",
        "media.ports",
        "calls.ring_timeout_s",
        "loging",
    }


def test_a_fault_names_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, "homeserver:\n  url: http://localhost\n  server_name: example.org\n  colour: red\n")
    assert [fault.line for fault in raised.value.faults] == [4]
    assert str(raised.value.faults[0]).startswith("line 4: homeserver.colour: unknown setting")


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        ("calls: {ring_timeout: 5}", "calls.ring_timeout", "unknown setting, did you mean ring_timeout_s?"),
        ("sip: {rtp_host: 127.0.0.1}", "sip.rtp_host", "unknown setting here, did you mean media.rtp_host?"),
        ("media: {emergency: true}", "media.emergency", "unknown setting here, did you mean trunks.NAME.emergency?"),
        ("numbers: {avatar: https://example.org/a.png}", "numbers.avatar", "expected an address such as mxc://"),
        ("numbers: {avatar: 'mxc://example.org/../a'}", "numbers.avatar", "expected an address such as mxc://"),
        ("calls: {ring_when: {'@a:b.c': sometimes}}", "calls.ring_when.@a:b.c", "always"),
        ("calls: {ring_timeout_s: abc}", "calls.ring_timeout_s", "expected a number of seconds, found 'abc'"),
        ("calls: {ring_timeout_s: '90'}", "calls.ring_timeout_s", "expected a number of seconds, found '90'"),
        ("calls: {ring_timeout_s: true}", "calls.ring_timeout_s", "expected a number of seconds, found true"),
        ("calls: {ring_timeout_s: .nan}", "calls.ring_timeout_s", "found the number nan"),
        (
            "calls: {decline_status: 486.5}",
            "calls.decline_status",
            "expected 603, 486, 480 or 403; found",
        ),
        ("calls: {decline_status: 404}", "calls.decline_status", "expected 603, 486, 480 or 403; found the number 404"),
        ("calls: {decline_status: '603'}", "calls.decline_status", "expected 603, 486, 480 or 403; found '603'"),
        ("ops: {record_numbers: 1}", "ops.record_numbers", "expected true or false, found the number 1"),
        ("logging: {level: loud}", "logging.level", "expected debug, info, warning or error; found 'loud'"),
        ("logging: verbose", "logging", "expected a group of settings, found 'verbose'"),
        ("sip: {listen: udp:127.0.0.1:5060}", "sip.listen", "expected a list"),
        ("sip: {listen: []}", "sip.listen", "needs at least one entry"),
        (
            "sip: {listen: [ws:127.0.0.1:5061]}",
            "sip.listen[0]",
            "udp:address:port or tcp:address:port or tls:address:port",
        ),
        ("sip: {listen: [tls:127.0.0.1:5061]}", "sip.tls.certificate", "is required when sip.listen has a tls address"),
        ("sip: {tls: {private_key: key.pem}}", "sip.tls.certificate", "is required with a private_key"),
        ("sip: {tls: {certificate: cert.pem}}", "sip.tls.private_key", "is required with a certificate"),
        ("sip: {tls: {require_client_certificate: true}}", "sip.tls.require_client_certificate", "needs ca_file"),
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
        ("sip: {listen: [udp:127.0.0.1:66000]}", "sip.listen[0]", "expected a port from 0 to 65535, found '66000'"),
        ("sip: {listen: [udp:example.org:5060]}", "sip.listen[0]", "expected an address such as 192.0.2.10"),
        ("sip: {listen: [udp:0.0.0.0:5060]}", "sip.advertised_host", "is required when listening on every address"),
        (
            "sip: {listen: [udp:127.0.0.1:5060, udp:127.0.0.1:5060]}",
            "sip.listen[1]",
            "is listed twice",
        ),
        ("sip: {listen: [udp:127.0.0.1:20010]}", "sip.listen[0]", "its port lies inside media.ports"),
        ("ops: {listen: 9464}", "ops.listen", "expected text, found the number 9464"),
        ("ops: {listen: 127.0.0.1}", "ops.listen", "expected host:port"),
        ("ops: {listen: 127.0.0.1:29330}", "ops.listen", "is the same address as appservice.listen"),
        ("ops: {call_records: nowhere/records}", "ops.call_records", "does not exist"),
        ("store: {path: nowhere/db}", "store.path", "does not exist"),
        ("store: {path: ''}", "store.path", "expected a file"),
        ("appservice: {url: 'http://u:p@h'}", "appservice.url", "must not carry a user name or password"),
        ("appservice: {listen: 0.0.0.0:29330}", "appservice.url", "is required when listening on every address"),
        ("appservice: {listen: 127.0.0.1:0}", "appservice.url", "is required when listening on port 0"),
        ("appservice: {bot_localpart: Bot}", "appservice.bot_localpart", "expected a-z, 0-9"),
        ("appservice: {id: 'a b'}", "appservice.id", "must not contain spaces"),
        ("media: {rtp_host: localhost}", "media.rtp_host", "expected an address such as 192.0.2.10"),
        (
            "media: {engine: rtpengine, rtpengine: ['127.0.0.1:2223']}\ntrunks: {a: {server: h.b, dtmf: tones}}",
            "trunks.a.dtmf",
            "is tones, which rtpengine servers are not asked for",
        ),
        ("media: {hold_music: nowhere.wav}", "media.hold_music", "nowhere.wav cannot be read"),
        ("media: {rtp_host: 0.0.0.0}", "media.advertised_host", "is required when rtp_host is every address"),
        (
            "media: {rtp_host: '::', advertised_host: 192.0.2.1}",
            "media.advertised_host",
            "is required when rtp_host is",
        ),
        ("media: {advertised_host: [192.0.2.1, 192.0.2.2]}", "media.advertised_host", "or one of IPv4 and one of IPv6"),
        ("media: {stun_servers: ['stun:http://x']}", "media.stun_servers[0]", "expected a host or host:port"),
        ("media: {turn: {uris: [turn.example.org]}}", "media.turn.uris[0]", "such as turn:turn.example.org:3478"),
        (
            "media: {turn: {uris: ['turns:a.b?transport=udp']}}",
            "media.turn.uris[0]",
            "such as turn:turn.example.org:3478",
        ),
        ("media: {turn: {uris: ['turn:a.b']}}", "media.turn.password", "is required with uris"),
        ("media: {ports: 20000}", "media.ports", "expected text, found the number 20000"),
        ("media: {ports: 80-90}", "media.ports", "ports above 1023"),
        ("numbers: {default_region: NO}", "numbers.default_region", "expected text, found false: put it in quotes"),
        ("numbers: {default_region: XX}", "numbers.default_region", "expected a country code"),
        ("numbers: {emergency: [112]}", "numbers.emergency[0]", "found the number 112: put it in quotes"),
        ("numbers: {inbound: {+15550100: '@a:b.c'}}", "numbers.inbound[15550100]", "put it in quotes"),
        ("numbers: {inbound: {'+1': '@a:b.c'}}", "numbers.inbound.+1", "expected + and 2 to 15 digits"),
        (
            "numbers: {default_region: DE, inbound: {'030 12345678901234567890': '@a:b.c'}}",
            "numbers.inbound.030 12345678901234567890",
            "such as '+15550100', a national one of DE, or the name of an extension, found '030 12345678901234567890'",
        ),
        ("numbers: {inbound: {'front desk': '@a:b.c'}}", "numbers.inbound.front desk", "or the name of an extension"),
        ("numbers: {inbound: {'+alice': '@a:b.c'}}", "numbers.inbound.+alice", "expected + and 2 to 15 digits"),
        ("numbers: {inbound: {'+15550100': alice}}", "numbers.inbound.+15550100", "expected a user id such as"),
        ("numbers: {inbound: {'+1555*': alice}}", "numbers.inbound.+1555*", "expected a user id such as"),
        (
            "numbers: {inbound: {'030 1234567*': '@a:b.c'}, default_region: DE}",
            "numbers.inbound.030 1234567*",
            "would never match",
        ),
        (
            "numbers: {inbound: {'+1 55*': '@a:b.c', '+155*': '@a:b.c'}}",
            "numbers.inbound.+155*",
            "is the same number as",
        ),
        ("numbers: {inbound: {'201': {hours: '9:00-10:00'}}}", "numbers.inbound.201.to", "is required"),
        (
            "numbers: {inbound: {'201': {to: '@a:b.c', hours: mon}}}",
            "numbers.inbound.201.hours",
            "expected hours such as",
        ),
        (
            "numbers: {inbound: {'201': {to: '@a:b.c', otherwise: '@d:b.c'}}}",
            "numbers.inbound.201.otherwise",
            "without hours",
        ),
        ("numbers: {inbound: {'201': 'menu:front'}}", "numbers.inbound.201", "no menu is called 'front'"),
        (
            "numbers: {inbound: {'201': 'group:sales'}}",
            "numbers.inbound.201",
            "there is none",
        ),
        ("groups: {Sales: {members: ['@a:b.c']}}", "groups.Sales", "expected a name of a-z"),
        ("groups: {sales: {members: []}}", "groups.sales.members", "at least one entry"),
        ("groups: {sales: {}}", "groups.sales.members", "is required"),
        ("groups: {sales: {members: ['@a:b.c', '@a:b.c']}}", "groups.sales.members[1]", "is listed twice"),
        ("groups: {sales: {members: ['@_sip_bot:example.org']}}", "groups.sales.members[0]", "own users"),
        ("groups: {sales: {members: ['@a:b.c'], otherwise: 'group:sales'}}", "groups.sales.otherwise", "leads back"),
        ("groups: {sales: {members: ['@a:b.c'], otherwise: 'group:x'}}", "groups.sales.otherwise", "there is sales"),
        ("groups: {sales: {members: ['@a:b.c'], each_s: 1}}", "groups.sales.each_s", "5"),
        (
            "numbers: {inbound: {'201': 'voicemail:@a:b.c'}}",
            "numbers.inbound.201",
            "@a:b.c is not one of voicemail.users",
        ),
        (
            "numbers: {inbound: {'+15550100': }}",
            "numbers.inbound.+15550100",
            "expected text, found nothing",
        ),
        (
            "numbers: {inbound: {'+15550100': '@_sip_+15550101:example.org'}}",
            "numbers.inbound.+15550100",
            "is one of the bridge's own users",
        ),
        (
            "numbers: {inbound: {'+15550100': '@a:b.c', '+1 555 0100': '@a:b.c'}}",
            "numbers.inbound.+1 555 0100",
            "is the same number as '+15550100'",
        ),
        (
            "numbers: {default_region: DE, inbound: {'030 1234567': '@a:b.c', '+49 30 1234567': '@d:b.c'}}",
            "numbers.inbound.+49 30 1234567",
            "is the same number as '030 1234567'",
        ),
        (
            "numbers: {default_region: DE, inbound: {'030 1234567': '@_sip_bot:example.org'}}",
            "numbers.inbound.030 1234567",
            "is one of the bridge's own users",
        ),
        ("permissions: {outbound: [{who: ['@a'], prefixes: ['+1']}]}", "permissions.outbound[0].who[0]", "user id"),
        ("permissions: {outbound: [{who: [a.b], prefixes: [+1]}]}", "permissions.outbound[0].prefixes[0]", "quotes"),
        (
            "numbers: {default_region: DE}\npermissions: {outbound: [{who: [a.b], prefixes: ['030 1234567']}]}",
            "permissions.outbound[0].prefixes[0]",
            "would never match, because calls have this number as +49301234567: write it so",
        ),
        ("permissions: {outbound: [{who: [a.b], prefixes: []}]}", "permissions.outbound[0].prefixes", "at least one"),
        (
            "permissions: {outbound: [{who: [a.b], prefixes: ['+'], trunk: x}]}",
            "permissions.outbound[0].trunk",
            "no trunk is called 'x'; there is none",
        ),
        ("permissions: {outbound: [{who: ['!'], prefixes: ['+']}]}", "permissions.outbound[0].who[0]", "a room id"),
        ("numbers: {dial_plan: [{prefixes: ['+'], trunks: [x]}]}", "numbers.dial_plan[0].trunks[0]", "there is none"),
        ("numbers: {dial_plan: [{prefixes: ['+'], trunks: []}]}", "numbers.dial_plan[0].trunks", "at least one"),
        (f"{TRUNK}numbers: {{dial_plan: [{{trunks: [a]}}]}}", "numbers.dial_plan[0]", "either prefixes or a pattern"),
        (
            f"{TRUNK}numbers: {{dial_plan: [{{prefixes: ['+'], pattern: x, trunks: [a]}}]}}",
            "numbers.dial_plan[0]",
            "either prefixes or a pattern",
        ),
        (
            f"{TRUNK}numbers: {{dial_plan: [{{pattern: '+49(', trunks: [a]}}]}}",
            "numbers.dial_plan[0].pattern",
            "is no regular expression",
        ),
        (
            f"{TRUNK}numbers: {{dial_plan: [{{prefixes: ['+'], trunks: [a, a]}}]}}",
            "numbers.dial_plan[0].trunks[1]",
            "is listed twice",
        ),
        (
            f"{TRUNK}numbers: {{dial_plan: [{{prefixes: ['+'], trunks: [a], choose: best}}]}}",
            "numbers.dial_plan[0].choose",
            "expected order, cost or weight",
        ),
        (
            f"{TRUNK}numbers: {{dial_plan: [{{prefixes: ['+'], trunks: [a], choose: weight, weights: {{b: 2}}}}]}}",
            "numbers.dial_plan[0].weights.b",
            "is not one of the trunks of this rule",
        ),
        (
            f"{TRUNK}numbers: {{dial_plan: [{{prefixes: ['+'], trunks: [a], weights: {{a: 2}}}}]}}",
            "numbers.dial_plan[0].weights",
            "count only with choose: weight",
        ),
        ("numbers: {caller_ids: {'@a:b.c': '201'}}", "numbers.caller_ids.@a:b.c", "or withheld, found '201'"),
        (
            "trunks: {a: {server: h.b, caller_ids: ['+15550100']}}\nnumbers: {caller_ids: {b.c: '+15550101'}}",
            "numbers.caller_ids.b.c",
            "no trunk has this number",
        ),
        ("trunks: {a: {server: h.b, rates: {'+49': 0.01}}}", "trunks.a.rates.+49", "put it in quotes"),
        ("trunks: {a: {server: h.b, rates: {'+49': '1 ct'}}}", "trunks.a.rates.+49", "an amount such as '0.0125'"),
        ("trunks: {a: {server: h.b, rate_step_s: 0}}", "trunks.a.rate_step_s", "1"),
        ("permissions: {limits: [{who: [], day_minutes: 5}]}", "permissions.limits[0].who", "at least one"),
        (
            "permissions: {limits: [{who: [a.b], day_cost: '5'}]}",
            "permissions.limits[0].day_cost",
            "could not be kept: no trunk says what calls cost",
        ),
        (
            "trunks: {a: {server: h.b, rates: {'+': '1'}}}\npermissions: {limits: [{who: [a.b], day_cost: 5}]}",
            "permissions.limits[0].day_cost",
            "put it in quotes",
        ),
        ("permissions: {limits: [{who: [a.b], call_minutes: -1}]}", "permissions.limits[0].call_minutes", "0"),
        ("permissions: {suspension: {hours: 0}}", "permissions.suspension.hours", "0"),
        ("permissions: {admins: [a]}", "permissions.admins[0]", "expected a user id"),
        ('sip: {user_agent: "Trunkline\\n"}', "sip.user_agent", "must be one line"),
        ("trunks: {Carrier: {server: a.b}}", "trunks.Carrier", "expected a name of a-z, 0-9"),
        ("trunks: {carrier: {server: 'sip:a.b'}}", "trunks.carrier.server", "not a URI, found 'sip:a.b'"),
        ("trunks: {carrier: {server: '[2001:db8::1]'}}", "trunks.carrier.server", "has no udp address of IPv6"),
        ("trunks: {carrier: }", "trunks.carrier.server", "is required"),
        ("trunks: {carrier: {server: 'a b'}}", "trunks.carrier.server", "expected a host name or an address"),
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
    ("text", "words"),
    [
        ("a: [", "not valid YAML at line"),
        ("- a", "expected settings"),
        ("\x00", "not valid YAML"),
        ("'", "not valid YAML at line"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused(tmp_path: Path, text: str, words: str) -> None:
    assert words in faults(tmp_path, text)[""]


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*: No such file or directory"):
        load_config(tmp_path / "none.yaml", {})


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "trunkline.yaml"
    file.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_config(file, {})


def test_a_setting_given_twice_is_a_fault(tmp_path: Path) -> None:
    found = faults(tmp_path, MINIMAL + "calls:\n  decline_status: 486\n  decline_status: 603\n")
    assert found == {"calls.decline_status": "given twice, first on line 4"}


class TestSecrets:
    def test_come_from_the_file_itself(self, tmp_path: Path) -> None:
        text = MINIMAL + f"appservice: {{as_token: {'x' * 20}, hs_token: {'y' * 20}}}"
        settings = matrix_settings(load_config(write(tmp_path, text), {}))
        assert (settings.as_token, settings.hs_token) == ("x" * 20, "y" * 20)

    def test_come_from_files_beside_the_configuration(self, tmp_path: Path) -> None:
        (tmp_path / "as").write_text("x" * 20 + "\n")
        (tmp_path / "hs").write_text("y" * 20)
        text = MINIMAL + "appservice: {as_token_file: as, hs_token_file: hs}"
        settings = matrix_settings(load_config(write(tmp_path, text), {}))
        assert (settings.as_token, settings.hs_token) == ("x" * 20, "y" * 20)

    def test_come_from_the_environment(self, tmp_path: Path) -> None:
        text = MINIMAL + "trunks: {my-pbx: {server: a.b, auth: digest, username: u}}"
        config = load(tmp_path, text, TRUNKLINE_TRUNKS_MY_PBX_PASSWORD="secret")
        assert sip_settings(config).trunks[0].password == "secret"

    def test_from_two_places_are_a_fault(self, tmp_path: Path) -> None:
        (tmp_path / "as").write_text("x" * 20)
        found = faults(tmp_path, MINIMAL + "appservice: {as_token_file: as}")
        assert found["appservice.as_token"] == (
            "comes from as_token_file and from the environment variable TRUNKLINE_AS_TOKEN: keep one of them"
        )

    def test_in_absent_files_name_the_file(self, tmp_path: Path) -> None:
        text = MINIMAL + "appservice: {as_token_file: as, hs_token_file: hs}"
        with pytest.raises(ConfigError) as raised:
            load_config(write(tmp_path, text), {})
        assert [fault.absent_file for fault in raised.value.faults] == [tmp_path / "as", tmp_path / "hs"]

    def test_in_unreadable_files_are_faults(self, tmp_path: Path) -> None:
        (tmp_path / "as").mkdir()
        (tmp_path / "hs").write_bytes(b"\xff" * 20)
        found = faults(tmp_path, MINIMAL + "appservice: {as_token_file: as, hs_token_file: hs}", {})
        assert "not a regular file" in found["appservice.as_token_file"]
        assert "not UTF-8" in found["appservice.hs_token_file"]

    def test_that_are_empty_or_huge_are_faults(self, tmp_path: Path) -> None:
        (tmp_path / "as").write_text("\n")
        (tmp_path / "hs").write_text("x" * 10_000)
        found = faults(tmp_path, MINIMAL + "appservice: {as_token_file: as, hs_token_file: hs}", {})
        assert "is empty" in found["appservice.as_token_file"]
        assert "too large" in found["appservice.hs_token_file"]

    def test_that_are_easily_guessed_are_faults(self, tmp_path: Path) -> None:
        found = faults(tmp_path, MINIMAL, {**TOKENS, "TRUNKLINE_HS_TOKEN": "short"})
        assert "at least 16 characters" in found["appservice.hs_token"]

    def test_must_differ(self, tmp_path: Path) -> None:
        same = dict.fromkeys(TOKENS, "x" * 20)
        assert faults(tmp_path, MINIMAL, same) == {"appservice.hs_token": "must differ from as_token"}

    def test_of_a_trunk_that_is_not_there_are_faults(self, tmp_path: Path) -> None:
        found = faults(tmp_path, MINIMAL, {**TOKENS, "TRUNKLINE_TRUNKS_CARIER_PASSWORD": "x"})
        assert found == {"": "the environment variable TRUNKLINE_TRUNKS_CARIER_PASSWORD names no trunk of this file"}

    def test_of_two_trunks_in_one_variable_are_faults(self, tmp_path: Path) -> None:
        text = MINIMAL + "trunks: {a-b: {server: a.b}, a_b: {server: a.c}}"
        found = faults(tmp_path, text, {**TOKENS, "TRUNKLINE_TRUNKS_A_B_PASSWORD": "x"})
        assert "names more than one trunk" in found["trunks"]

    def test_are_not_printed(self, tmp_path: Path) -> None:
        text = MINIMAL + "trunks: {a: {server: a.b, auth: digest, username: u, password: open-sesame}}"
        config = load(tmp_path, text)
        assert "open-sesame" not in repr(config) + str(config)
        assert TOKENS["TRUNKLINE_AS_TOKEN"] not in repr(config)

    @pytest.mark.parametrize(
        "text",
        [
            "trunks: {a: {server: a.b, password: 8472910365}}",
            "trunks: {a: {server: a.b, password: [8472910365]}}",
            "trunks: {a: {server: a.b, password: *8472910365}}",
            "trunks: {a: {server: a.b, password: &8472910365 }}",
            "trunks: {a: {server: a.b, password: !8472910365}}",
            "trunks: {a: {server: a.b, password: !8472910365!x y}}",
            "trunks: {a: {server: a.b, password: @8472910365}}",
            "trunks: {a: {server: a.b, auth: digest, username: u, password: 8472910365, password_file: f}}",
            "trunks: {a: {server: 'sip:u:8472910365@a.b'}}",
            "trunks: {a: {server: 'u:8472910365@a.b:5060'}}",
            "trunks: {a: {server: a.b, passwort: '8472910365'}}",
            "appservice: {as_token: 8472910365847291}",
            "appservice: {as_token: '8472910365'}",
            "appservice: {as_token: '84729 10365 84729 10365'}",
            "appservice: {url: 'ftp://u:8472910365@h'}",
            "appservice: {url: 'http://u:8472910365/x@h'}",
            "appservice: {url: 'http://h/?access_token=8472910365'}",
        ],
    )
    def test_that_are_written_wrongly_are_not_quoted_in_faults(self, tmp_path: Path, text: str) -> None:
        with pytest.raises(ConfigError) as raised:
            load_config(write(tmp_path, MINIMAL + text), {})
        assert "84729" not in str(raised.value)

    def test_are_not_quoted_in_faults(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError) as raised:
            load_config(write(tmp_path, MINIMAL), {**TOKENS, "TRUNKLINE_AS_TOKEN": "se cret" * 5})
        assert "se cret" not in str(raised.value)


@pytest.mark.parametrize(
    ("region", "written", "number"),
    [
        ("DE", "030 1234567", "+49301234567"),
        ("DE", "+49 30 1234567", "+49301234567"),
        ("DE", "+49 (0)30 1234567", "+49301234567"),
        ("DE", "tel:+49-30-1234567", "+49301234567"),
        ("DE", "0049301234567", "+49301234567"),
        ("GB", "020 7946 0100", "+442079460100"),
        ("DE", "201", "201"),
        ("DE", "*97", "*97"),
        ("DE", "alice", "alice"),
        ("DE", "alice-030.1234567", "alice-030.1234567"),
        ("US", "12345678901234567890", "12345678901234567890"),
    ],
)
def test_numbers_are_read_as_those_of_calls_are(tmp_path: Path, region: str, written: str, number: str) -> None:
    text = f"""
numbers: {{default_region: {region}, inbound: {{"{written}": "@a:b.c"}}}}
trunks: {{t: {{server: a.b, caller_id: "{written}"}}}}
"""
    config = load(tmp_path, MINIMAL + text)
    assert list(config.numbers.inbound) == [number]
    assert config.trunks[TrunkName("t")].caller_id == number


@pytest.mark.parametrize("sent", ["+49301234567", "0301234567", "49301234567", "0049301234567"])
def test_a_number_in_national_form_is_found_however_a_trunk_sends_it(tmp_path: Path, sent: str) -> None:
    text = 'numbers: {default_region: DE, inbound: {"030 1234567": "@a:b.c"}}'
    assert number_plan(load(tmp_path, MINIMAL + text)).user_of(sent) == "@a:b.c"


@pytest.mark.parametrize("status", [603, 486, 480, 403])
def test_a_declined_call_can_end_in_a_few_ways(tmp_path: Path, status: int) -> None:
    assert load(tmp_path, MINIMAL + f"calls: {{decline_status: {status}}}").calls.decline_status == status


def test_the_settings_of_each_package_follow_from_the_file(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        MINIMAL
        + """
sip: {listen: ["udp:192.0.2.1:5070", "tcp:[2001:db8::1]:5060"]}
trunks:
  carrier: {server: "sip.example.net:5080", auth: digest, username: u, password: p, sources: [192.0.2.0/24]}
media: {ports: 30000-30099, rtp_host: 192.0.2.1}
numbers: {default_region: de}
""",
    )
    sip, media, matrix = sip_settings(config), media_settings(config), matrix_settings(config)
    assert sip.listeners == (
        Listener(transport=Transport.UDP, host="192.0.2.1", port=5070),
        Listener(transport=Transport.TCP, host="2001:db8::1", port=5060),
    )
    assert (sip.trunks[0].host, sip.trunks[0].port, sip.trunks[0].auth) == ("sip.example.net", 5080, TrunkAuth.DIGEST)
    assert [str(network) for network in sip.trunks[0].sources] == ["192.0.2.0/24"]
    assert (media.port_min, media.port_max, media.rtp_host) == (30000, 30099, "192.0.2.1")
    assert matrix.server_name == "example.org"


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


def test_what_is_perhaps_not_meant_is_a_warning(tmp_path: Path) -> None:
    words = "\n".join(warnings(load(tmp_path, MINIMAL)))
    assert "permissions.outbound: nobody may call out" in words
    assert "trunks: there is none" in words
    assert "numbers.inbound" in words


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


def test_a_secret_that_everybody_can_read_is_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "as"
    file.write_text("x" * 20)
    file.chmod(0o644)
    config = load_config(write(tmp_path, MINIMAL + "appservice: {as_token_file: as}"), {"TRUNKLINE_HS_TOKEN": "y" * 20})
    assert any("chmod o-rwx" in warning for warning in warnings(config))
    file.chmod(0o600)
    assert not any("chmod o-rwx" in warning for warning in warnings(config))


@pytest.mark.parametrize(
    "text",
    ["[" * 20_000, "{a: " * 3_000, "a: &x [*x]", f"calls: {{ring_timeout_s: {'9' * 5_000}}}", "x: 2020-99-99"],
    ids=["brackets", "braces", "anchor in itself", "huge number", "no such date"],
)
def test_a_file_that_breaks_the_reader_is_a_fault_like_any_other(tmp_path: Path, text: str) -> None:
    assert faults(tmp_path, text)


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ('"a\\0b"', "is not a path"),
        ("fifo", "not a regular file"),
        ("/dev/zero", "not a regular file"),
        (".", "not a regular file"),
    ],
)
def test_a_secret_that_is_no_file_is_a_fault_and_never_waited_for(tmp_path: Path, file: str, words: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    found = faults(tmp_path, MINIMAL + f"appservice: {{hs_token_file: {file}}}", {"TRUNKLINE_AS_TOKEN": "a" * 32})
    assert words in found["appservice.hs_token_file"]


class TestTrunkHeaders:
    def test_come_from_a_file_beside_the_configuration(self, tmp_path: Path) -> None:
        (tmp_path / "extra").write_text("X-Telnyx-Token: hush\nX-Other:  a: b\n")
        config = load(tmp_path, MINIMAL + "trunks: {a: {server: a.b, headers_file: extra}}")
        assert sip_settings(config).trunks[0].headers == (("X-Telnyx-Token", "hush"), ("X-Other", "a: b"))
        assert "hush" not in repr(config)

    def test_come_from_the_environment(self, tmp_path: Path) -> None:
        config = load(tmp_path, MINIMAL + "trunks: {a: {server: a.b}}", TRUNKLINE_TRUNKS_A_HEADERS="X-Token: hush")
        assert sip_settings(config).trunks[0].headers == (("X-Token", "hush"),)

    @pytest.mark.parametrize(
        ("lines", "words"),
        [
            ("X-Token hush", "expected lines such as"),
            ("X Token: hush", "expected lines such as"),
            ("X-Token:", "expected lines such as"),
            ("X-Token: hu\\x00sh", "expected lines such as"),
            ("via: hush", "via is a header field that Trunkline writes itself"),
            ("f: hush", "f is a header field that Trunkline writes itself"),
        ],
    )
    def test_that_cannot_be_sent_are_a_fault_that_shows_no_secret(self, tmp_path: Path, lines: str, words: str) -> None:
        found = faults(tmp_path, MINIMAL + f'trunks: {{a: {{server: a.b, headers: "{lines}"}}}}')
        assert words in found["trunks.a.headers"]
        assert "hush" not in found["trunks.a.headers"]


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


def test_a_limit_that_limits_nothing_is_noted(tmp_path: Path) -> None:
    config = load(tmp_path, MINIMAL + "permissions: {limits: [{who: [a.b], day_minutes: 5}, {who: [a.b]}]}")
    assert [note for note in warnings(config) if "limits" in note] == ["permissions.limits[1]: limits nothing"]


def test_what_a_held_phone_hears_is_a_recording_or_a_tone_or_nothing(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "music.wav"), "wb") as recording:
        recording.setparams((1, 2, 8000, 0, "NONE", ""))
        recording.writeframes(bytes(3200))
    assert media_settings(load(tmp_path, MINIMAL)).hold_music is None
    tone = media_settings(load(tmp_path, MINIMAL + "media: {hold_tone: true}\n")).hold_music
    assert tone is hold_tone()
    music = media_settings(load(tmp_path, MINIMAL + "media: {hold_tone: true, hold_music: music.wav}\n")).hold_music
    assert music not in (None, tone)


def test_stun_and_turn_servers_are_written_as_homeservers_write_them(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of the homeserver\n")
    config = load(
        tmp_path,
        MINIMAL
        + """
media:
  advertised_host: [192.0.2.1, '2001:db8::1']
  stun_servers: [stun.example.org, 'stun:[2001:db8::2]:19302']
  turn:
    uris: ['turn:a.b', 'turn:a.b:443?transport=tcp', 'turns:[2001:db8::3]']
    shared_secret_file: secret
""",
    )
    settings = media_settings(config)
    assert settings.advertised_hosts == ("192.0.2.1", "2001:db8::1")
    assert [(server.host, server.port) for server in settings.stun_servers] == [
        ("stun.example.org", 3478),
        ("2001:db8::2", 19302),
    ]
    assert [(server.host, server.port, server.transport) for server in settings.turn_servers] == [
        ("a.b", 3478, "udp"),
        ("a.b", 443, "tcp"),
        ("2001:db8::3", 5349, "tls"),
    ]
    username, password = settings.turn_servers[0].credentials(1_000_000.0)
    assert (username, password) == ("1086400:trunkline", "3Q46mX1cigBRNeneKIYcw6NHvfs=")
    assert "homeserver" not in repr(settings)


def test_groups_that_lead_to_each_other_in_a_circle_are_refused(tmp_path: Path) -> None:
    text = """
groups:
  a: {members: ['@a:b.c'], otherwise: 'group:b'}
  b: {members: ['@a:b.c'], otherwise: 'group:a'}
  c: {members: ['@a:b.c'], otherwise: 'group:a'}
"""
    found = faults(tmp_path, MINIMAL + text)
    assert set(found) == {"groups.a.otherwise", "groups.b.otherwise"}


def test_a_group_that_rings_for_longer_than_callers_wait_is_warned_of(tmp_path: Path) -> None:
    text = "groups: {a: {members: ['@a:b.c', '@d:b.c'], ring: in_turn, each_s: 100}}"
    assert any(
        warning.startswith("groups.a: may ring for 200 s") for warning in warnings(load(tmp_path, MINIMAL + text))
    )
