"""Mistakes in the configuration: every one is found at once, and explained."""

import tracemalloc
from itertools import pairwise
from pathlib import Path

import pytest

from bridge.config import (
    ConfigError,
    load_config,
)
from tests.config_files import MINIMAL, faults, load


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
        ("media: {ports: 20000}", "media.ports", "expected a range such as 20000-29999, found the number 20000"),
        ("media: {ports: [20000, 29999]}", "media.ports", "expected a range such as 20000-29999, found a list"),
        ("sip: {listen: [udp:5060]}", "sip.listen[0]", "expected udp:address:port or tcp:address:port"),
        (
            "permissions: {outbound: {who: ['@a:b.c'], prefixes: ['+1']}}",
            "permissions.outbound",
            "begin each entry with '- '",
        ),
        (
            "permissions: {outbound: [{who: ['@*:b.c'], prefixes: ['+1']}]}",
            "permissions.outbound[0].who[0]",
            "write 'b.c' for all users of that server",
        ),
        ("media: {ports: 80-90}", "media.ports", "ports above 1023"),
        ('sip: {user_agent: "Trunkline\\n"}', "sip.user_agent", "must be one line"),
    ],
)
def test_a_mistake_is_explained(tmp_path: Path, text: str, path: str, words: str) -> None:
    found = faults(tmp_path, MINIMAL + text)
    assert set(found) == {path}
    assert words in found[path]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "not valid YAML: the bracket that opens here"),
        ("- a", "expected settings"),
        ("\x00", "not valid YAML"),
        ("'", "not valid YAML: the quotation mark that begins here"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused(tmp_path: Path, text: str, words: str) -> None:
    assert words in faults(tmp_path, text)[""]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a:\n  b: 1\n c: 2", 3, "not indented like the lines that it belongs to"),
        ("a:\n  b: 1\n  - c", 3, "not indented like the lines that it belongs to"),
        ("a:\n  b: 1\n    c: 2", 3, "no setting can stand here"),
        ("a:\n\tb: 1", 2, "a tab stands here"),
        ("a:\n  b:1\n  c: 2\n", 3, "has each setting a space after ':'"),
        ("a: 1\nb:2\nc: 3\n", 2, "'name: value', with a space after the ':'"),
        ("a: @alice:example.org", 1, "a value that begins with '@' must be put in quotes"),
        ("a: 1\nb: %secret", 2, "a value that begins with '%' must be put in quotes"),
        ("a: *secret", 1, "must be put in quotes"),
        ("a: 'secret\nb: 1\nc: 2\n", 1, "the quotation mark that begins here is never closed"),
        ('a: "secret\\s"', 1, "write \\ twice"),
        ("a: 'it's'", 1, "put the whole value in quotes"),
        ('a: ["1", "2"\nb: 1\n', 1, "the bracket that opens here is not closed"),
    ],
)
def test_what_is_no_yaml_is_explained_to_who_does_not_know_yaml(
    tmp_path: Path, text: str, line: int, words: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, text)
    (fault,) = raised.value.faults
    assert fault.line == line
    assert words in fault.message
    assert "secret" not in fault.message


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


def test_aliases_that_multiply_are_refused_before_they_cost_memory(tmp_path: Path) -> None:
    letters = "abcdef"
    lines = [f"a: &a [{', '.join('x' * 9)}]"]
    lines += [f"{this}: &{this} [{', '.join([f'*{last}'] * 9)}]" for last, this in pairwise(letters)]
    tracemalloc.start()
    found = faults(tmp_path, "\n".join(lines))
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "aliases ('*name') repeat more" in found[""]
    assert used < 4 << 20


def test_aliases_that_save_writing_are_read(tmp_path: Path) -> None:
    text = MINIMAL + 'numbers: {inbound: {"+15550100": &alice "@alice:example.org", "+15550101": *alice}}\n'
    assert load(tmp_path, text).numbers.inbound.keys() == {"+15550100", "+15550101"}


@pytest.mark.parametrize(
    "text",
    ["[" * 20_000, "{a: " * 3_000, "a: &x [*x]", f"calls: {{ring_timeout_s: {'9' * 5_000}}}", "x: 2020-99-99"],
    ids=["brackets", "braces", "anchor in itself", "huge number", "no such date"],
)
def test_a_file_that_breaks_the_reader_is_a_fault_like_any_other(tmp_path: Path, text: str) -> None:
    assert faults(tmp_path, text)
