"""Profiles of trunks: each loads, says where it comes from, and sends what its trunk wants."""

import re
from pathlib import Path

import pytest
import yaml

from bridge.config import Config, ConfigError, load_config, sip_settings
from bridge.config.model import TrunkConfig
from bridge.config.profiles import known_profiles, profile_file
from bridge.core.ids import DialogKey
from bridge.sip.events import OutgoingCall
from bridge.sip.inputs import PlaceCall
from bridge.sip.message import Request
from bridge.sip.settings import Trunk, TrunkAuth
from tests.sip.scripted_peer import SDP, Scripted

TOKENS = {"TRUNKLINE_AS_TOKEN": "a" * 32, "TRUNKLINE_HS_TOKEN": "h" * 32, "TRUNKLINE_TRUNKS_TRUNK_PASSWORD": "secret"}
PROFILES = [
    "3cx",
    "asterisk",
    "flowroute",
    "freeswitch",
    "kamailio",
    "ovh",
    "sipgate",
    "telekom",
    "telekom-private",
    "telnyx",
    "twilio",
    "voipms",
]


def load(directory: Path, trunk: str) -> Config:
    file = directory / "trunkline.yaml"
    file.write_text(
        'homeserver: {url: "http://127.0.0.1:8008", server_name: example.org}\ntrunks:\n  trunk: {' + trunk + "}\n"
    )
    return load_config(file, TOKENS)


def from_profile(directory: Path, profile: str, more: str = "") -> Trunk:
    server = "" if "server" in settings(profile) else ", server: pbx.example"
    config = load(directory, f"profile: {profile}, username: acct{server}{more}")
    return sip_settings(config).trunks[0]


def settings(profile: str) -> dict[str, object]:
    found = yaml.safe_load(profile_file(profile).read_text())
    assert isinstance(found, dict)
    return found


def test_these_are_the_profiles() -> None:
    assert known_profiles() == PROFILES


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_says_where_it_comes_from_and_what_is_left_to_do(profile: str) -> None:
    comment = [line for line in profile_file(profile).read_text().splitlines() if line.startswith("#")]
    assert any(re.match(r"# Source: .{10}", line) for line in comment)
    assert any(line.startswith("# You fill in: ") for line in comment)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_sets_nothing_that_is_the_default(profile: str) -> None:
    bare = {"server": "x.example", "username": "u", "password": "p"}
    plain = TrunkConfig.model_validate(bare)
    chosen = TrunkConfig.model_validate({**bare, **settings(profile)})
    same = [name for name in settings(profile) if getattr(plain, name) == getattr(chosen, name)]
    assert same == []


def test_what_the_trunk_sets_itself_takes_precedence(tmp_path: Path) -> None:
    trunk = from_profile(tmp_path, "telnyx", ", max_calls_per_s: 5")
    assert (trunk.host, trunk.max_calls_per_s) == ("sip.telnyx.com", 5)


def test_an_unknown_profile_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, "profile: ../twilio")
    (fault,) = raised.value.faults
    assert (fault.path, fault.line) == ("trunks.trunk.profile", 3)
    assert fault.message == f"no profile is called '../twilio'; there is {', '.join(PROFILES)}"


def sent(trunk: Trunk) -> Scripted:
    """What a trunk with these settings is sent at the start and for a call."""
    peer = Scripted(trunk, transport=trunk.transport)
    peer.start()
    call = OutgoingCall(trunk=trunk.name, called="+4930654321", caller="+4930123456", caller_name="", sdp=SDP)
    peer.feed(PlaceCall(dialog=DialogKey("call"), call=call))
    return peer


def caller_in(invite: Request) -> dict[str, str]:
    names = ("P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID")
    return {name: value for name, value in invite.headers if name in names}


@pytest.mark.parametrize(
    ("profile", "uri", "from_", "identity"),
    [
        ("3cx", "+4930654321@pbx.example", "+4930123456@pbx.example", "P-Asserted-Identity"),
        ("asterisk", "+4930654321@pbx.example", "+4930123456@pbx.example", "P-Asserted-Identity"),
        ("flowroute", "4930654321@us-west-wa.sip.flowroute.com", "4930123456@", "P-Asserted-Identity"),
        ("freeswitch", "+4930654321@pbx.example", "+4930123456@pbx.example", "Remote-Party-ID"),
        ("kamailio", "+4930654321@pbx.example", "+4930123456@pbx.example", "P-Asserted-Identity"),
        ("ovh", "004930654321@siptrunk.ovh.net", "004930123456@siptrunk.ovh.net", "P-Asserted-Identity"),
        ("sipgate", "4930654321@sipconnect.sipgate.de", "acct@sipconnect.sipgate.de", "P-Preferred-Identity"),
        ("telekom", "+4930654321@sip-trunk.telekom.de", "+4930123456@sip-trunk.telekom.de", "P-Preferred-Identity"),
        ("telekom-private", "+4930654321@tel.t-online.de", "+4930123456@tel.t-online.de", "P-Preferred-Identity"),
        ("telnyx", "+4930654321@sip.telnyx.com", "+4930123456@sip.telnyx.com", "P-Asserted-Identity"),
        ("twilio", "+4930654321@pbx.example", "+4930123456@pbx.example", "P-Asserted-Identity"),
        ("voipms", "0114930654321@pbx.example", "0114930123456@pbx.example", "Remote-Party-ID"),
    ],
)
def test_a_call_is_sent_as_the_trunk_wants_it(
    tmp_path: Path, profile: str, uri: str, from_: str, identity: str
) -> None:
    trunk = from_profile(tmp_path, profile)
    peer = sent(trunk)
    invite = peer.last_request("INVITE")
    assert invite.uri_text == f"sip:{uri}"
    assert str(invite.from_.uri).startswith(f"sip:{from_}")
    assert list(caller_in(invite)) == [identity]
    assert ("REGISTER" in peer.titles()) is (trunk.auth is TrunkAuth.REGISTER)


def test_telekom_is_reached_through_its_proxy_over_tcp(tmp_path: Path) -> None:
    peer = sent(from_profile(tmp_path, "telekom", ", register_user: '+4930123456'"))
    register, invite = peer.last_request("REGISTER"), peer.last_request("INVITE")
    route = "<sip:reg.sip-trunk.telekom.de;transport=tcp;lr>"
    assert [register.headers.get("Route"), invite.headers.get("Route")] == [route, route]
    assert register.uri_text == "sip:sip-trunk.telekom.de"
    assert str(register.to.uri) == "sip:+4930123456@sip-trunk.telekom.de"


def test_3cx_is_registered_for_two_minutes(tmp_path: Path) -> None:
    assert sent(from_profile(tmp_path, "3cx")).last_request("REGISTER").expires == 120
