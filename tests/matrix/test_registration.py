"""The file that makes the homeserver talk to us."""

import re
from dataclasses import replace

import yaml

from bridge.matrix.registration import registration, registration_yaml
from bridge.matrix.settings import MatrixSettings

SETTINGS = MatrixSettings(
    homeserver_url="http://127.0.0.1:8008", server_name="example.org", as_token="as-secret", hs_token="hs-secret"
)


def test_the_registration_is_what_synapse_reads() -> None:
    assert registration(SETTINGS) == {
        "id": "trunkline",
        "url": "http://127.0.0.1:29330",
        "as_token": "as-secret",
        "hs_token": "hs-secret",
        "sender_localpart": "_sip_bot",
        "rate_limited": False,
        "namespaces": {
            "users": [{"exclusive": True, "regex": r"@_sip_.*:example\.org"}],
            "aliases": [],
            "rooms": [],
        },
        "protocols": ["m.protocol.pstn", "im.vector.protocol.pstn"],
        "receive_ephemeral": False,
    }
    assert yaml.safe_load(registration_yaml(SETTINGS)) == registration(SETTINGS)


def test_the_namespace_is_no_wider_than_our_users() -> None:
    regex = registration(SETTINGS)["namespaces"]["users"][0]["regex"]
    assert re.match(regex, "@_sip_+15550100:example.org")
    for stranger in ("@alice:example.org", "@_sip_+15550100:exampleXorg", "@x_sip_1:example.org"):
        assert not re.match(regex, stranger)


def test_an_address_of_its_own_is_used() -> None:
    settings = MatrixSettings(
        homeserver_url="x",
        server_name="example.org",
        as_token="a",
        hs_token="h",
        appservice_url="https://b.example.org/x",
    )
    assert registration(settings)["url"] == "https://b.example.org/x"


def test_the_homeserver_tells_who_is_there_only_where_that_counts() -> None:
    wanted = registration(replace(SETTINGS, presence=True))
    assert (wanted["receive_ephemeral"], wanted["de.sorunome.msc2409.push_ephemeral"]) == (True, True)
