"""The configuration: a few lines are enough, and the settings of each package follow from them."""

import wave
from pathlib import Path

import pytest

from bridge.config import (
    matrix_settings,
    media_settings,
    sip_settings,
    warnings,
)
from bridge.media.hold_music import hold_tone
from bridge.sip.settings import Listener, Transport, TrunkAuth
from tests.config_files import MINIMAL, load


def test_two_lines_and_two_tokens_are_enough(tmp_path: Path) -> None:
    config = load(tmp_path, MINIMAL)
    assert config.homeserver.server_name == "example.org"
    assert config.permissions.outbound == ()
    assert config.store.path == tmp_path / "trunkline.sqlite3"


def test_a_section_whose_settings_are_all_commented_out_takes_its_defaults(tmp_path: Path) -> None:
    config = load(tmp_path, MINIMAL + "store:\nops:\nmedia:\n  #ports: 1\nsip:\n  user_agent:\n")
    assert config.sip.user_agent == "Trunkline"


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


def test_what_is_perhaps_not_meant_is_a_warning(tmp_path: Path) -> None:
    words = "\n".join(warnings(load(tmp_path, MINIMAL)))
    assert "permissions.outbound: nobody may call out" in words
    assert "trunks: there is none" in words
    assert "numbers.inbound" in words


@pytest.mark.parametrize(("settings", "warned"), [("max_calls: 9, max_attended: 9", True), ("max_calls: 9", False)])
def test_a_trunk_that_menus_may_have_to_themselves_is_a_warning(tmp_path: Path, settings: str, warned: bool) -> None:
    config = load(tmp_path, MINIMAL + f"trunks: {{a: {{server: h.b, {settings}}}}}\n")
    assert any(line.startswith("trunks.a.max_attended") for line in warnings(config)) is warned


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


def notes(directory: Path, text: str) -> list[str]:
    return [note for note in warnings(load(directory, MINIMAL + text)) if "example.com" in note or "'+" in note]


def test_users_of_another_server_are_noted_once_for_each_server(tmp_path: Path) -> None:
    text = """
numbers: {inbound: {"+15550100": "@alice:example.com", "+15550101": "@bob:example.com", "+15550102": "@a:example.org"}}
groups: {sales: {members: ["@carol:example.com"]}}
"""
    assert notes(tmp_path, text) == [
        "numbers.inbound.+15550100: '@alice:example.com' is not of homeserver.server_name, which is 'example.org'"
    ]


def test_who_may_call_out_and_is_of_another_server_is_noted(tmp_path: Path) -> None:
    text = "permissions: {outbound: [{who: ['!room:example.com', 'example.com'], prefixes: ['+1', '*97', '201']}]}"
    assert notes(tmp_path, text) == [
        "permissions.outbound[0].who: 'example.com' is not of homeserver.server_name, which is 'example.org'"
    ]


def test_a_country_code_without_its_plus_is_noted(tmp_path: Path) -> None:
    text = "permissions: {outbound: [{who: [example.org], prefixes: ['+1', '44', '201', '99']}]}"
    assert notes(tmp_path, text) == [
        "permissions.outbound[0].prefixes: '44' is one whole number; the numbers that begin with it are '+44'"
    ]
