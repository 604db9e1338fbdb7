"""Users who are joined to the room of a phone that calls them, where the administrator allows that."""

from pathlib import Path

import pytest
import yaml

from bridge.core.ids import E164, UserId
from bridge.matrix.registration import puppet_registration, puppet_registration_yaml, registration
from bridge.matrix.settings import MatrixSettings
from tests.homeserver import Fault, ScriptedHomeserver
from tests.matrix.bridge_fixture import running_bridge

NUMBER = E164("+15550100")
GHOST = UserId("@_sip_+15550100:example.org")


@pytest.fixture(params=["puppet_token", "admin_token"])
def powerful(hs: ScriptedHomeserver, request: pytest.FixtureRequest) -> ScriptedHomeserver:
    setattr(hs, request.param, "speaks-for-everybody")
    return hs


async def test_a_user_is_joined_at_once_and_finds_the_room_among_their_people(
    powerful: ScriptedHomeserver, tmp_path: Path
) -> None:
    alice = powerful.add_user("alice")
    powerful.account_data[alice, "m.direct"] = {"@bob:example.org": ["!bob:example.org"]}
    async with running_bridge(powerful, tmp_path / "db") as bridge:
        portal = await bridge.service.portal(user=alice, number=NUMBER)
        again = await bridge.service.portal(user=alice, number=NUMBER)
    assert portal.user_joined
    assert again.user_joined
    assert powerful.rooms[portal.room_id].membership(alice) == "join"
    direct = {"@bob:example.org": ["!bob:example.org"], GHOST: [portal.room_id]}
    assert powerful.account_data[alice, "m.direct"] == direct
    assert powerful.sessions == {}
    assert bridge.telemetry.counts["matrix_puppet_joins_total", "outcome=joined"] == 1


async def test_a_user_without_direct_rooms_gets_a_list_of_them(powerful: ScriptedHomeserver, tmp_path: Path) -> None:
    alice = powerful.add_user("alice")
    async with running_bridge(powerful, tmp_path / "db") as bridge:
        portal = await bridge.service.portal(user=alice, number=NUMBER)
    assert powerful.account_data[alice, "m.direct"] == {GHOST: [portal.room_id]}


async def test_a_token_that_is_refused_leaves_the_joining_to_the_user(
    powerful: ScriptedHomeserver, tmp_path: Path
) -> None:
    alice = powerful.add_user("alice")
    async with running_bridge(powerful, tmp_path / "db") as bridge:
        powerful.puppet_token = powerful.admin_token = "another"
        portal = await bridge.service.portal(user=alice, number=NUMBER)
    assert not portal.user_joined
    assert powerful.rooms[portal.room_id].membership(alice) == "invite"
    assert bridge.telemetry.counts["matrix_puppet_joins_total", "outcome=failed"] == 1


async def test_a_session_is_closed_also_when_the_join_fails(hs: ScriptedHomeserver, tmp_path: Path) -> None:
    hs.admin_token = "of-the-administrator"
    alice = hs.add_user("alice")
    hs.faults.append(Fault(path="/join/", status=403, errcode="M_FORBIDDEN"))
    async with running_bridge(hs, tmp_path / "db") as bridge:
        portal = await bridge.service.portal(user=alice, number=NUMBER)
    assert not portal.user_joined
    assert hs.sessions == {}


async def test_a_list_of_rooms_that_cannot_be_read_is_left_alone(powerful: ScriptedHomeserver, tmp_path: Path) -> None:
    alice = powerful.add_user("alice")
    powerful.account_data[alice, "m.direct"] = {"@bob:example.org": ["!bob:example.org"]}
    powerful.faults.append(Fault(path="/account_data/", status=403, errcode="M_FORBIDDEN"))
    async with running_bridge(powerful, tmp_path / "db") as bridge:
        portal = await bridge.service.portal(user=alice, number=NUMBER)
    assert portal.user_joined
    assert powerful.account_data[alice, "m.direct"] == {"@bob:example.org": ["!bob:example.org"]}


async def test_users_of_other_homeservers_are_never_touched(powerful: ScriptedHomeserver, tmp_path: Path) -> None:
    async with running_bridge(powerful, tmp_path / "db") as bridge:
        portal = await bridge.service.portal(user=UserId("@carol:elsewhere.org"), number=NUMBER)
    assert not portal.user_joined
    assert not any("login" in path or "/join/" in path for _, path, _ in powerful.requests)


def test_the_second_registration_speaks_for_all_local_users_and_hears_nothing() -> None:
    settings = MatrixSettings(
        homeserver_url="http://127.0.0.1:8008",
        server_name="example.org",
        as_token="as-secret",
        hs_token="hs-secret",
        puppet_token="puppet-secret",
    )
    file = yaml.safe_load(puppet_registration_yaml(settings))
    assert file == puppet_registration(settings)
    assert (file["url"], file["as_token"]) == (None, "puppet-secret")
    assert file["namespaces"]["users"] == [{"exclusive": False, "regex": r"@.*:example\.org"}]
    first = registration(settings)
    assert all(file[key] != first[key] for key in ("id", "as_token", "hs_token", "sender_localpart"))
    assert "puppet-secret" not in repr(settings)
