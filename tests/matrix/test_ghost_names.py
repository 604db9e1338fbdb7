"""What a telephone is called in the rooms of the people whom it calls."""

from pathlib import Path

import pytest

from bridge.core.ids import E164, UserId
from bridge.core.picture import Picture, read_picture
from bridge.matrix.link import MatrixError
from tests.homeserver import Fault, ScriptedHomeserver
from tests.matrix.bridge_fixture import running_bridge

NUMBER = E164("+15550100")
PNG = b"\x89PNG\r\n\x1a\n picture"
GHOST = UserId("@_sip_+15550100:example.org")


@pytest.fixture
def alice(hs: ScriptedHomeserver) -> UserId:
    return hs.add_user("alice")


async def test_a_caller_is_shown_as_the_network_names_them_beside_their_number(
    hs: ScriptedHomeserver, tmp_path: Path, alice: UserId
) -> None:
    async with running_bridge(hs, tmp_path / "db") as bridge:
        await bridge.service.portal(user=alice, number=NUMBER, caller_name="EXAMPLE JANE")
        assert hs.users[GHOST] == "EXAMPLE JANE (+1 5550100)"
        await bridge.service.portal(user=alice, number=NUMBER)
        assert hs.users[GHOST] == "EXAMPLE JANE (+1 5550100)"
        await bridge.service.portal(user=alice, number=NUMBER, caller_name="Example & Co")
    async with running_bridge(hs, tmp_path / "db") as bridge:
        await bridge.service.portal(user=alice, number=NUMBER)
    assert hs.users[GHOST] == "Example & Co (+1 5550100)"


@pytest.mark.parametrize("caller_name", ["", "+15550100", "+1 5550100"])
async def test_a_name_that_is_only_the_number_is_none(
    hs: ScriptedHomeserver, tmp_path: Path, alice: UserId, caller_name: str
) -> None:
    async with running_bridge(hs, tmp_path / "db") as bridge:
        await bridge.service.portal(user=alice, number=NUMBER, caller_name=caller_name)
    assert hs.users[GHOST] == "+1 5550100"


async def test_the_address_book_knows_better_than_the_network(
    hs: ScriptedHomeserver, tmp_path: Path, alice: UserId
) -> None:
    async with running_bridge(hs, tmp_path / "db", name_of={"+15550100": "Jane"}.get) as bridge:
        await bridge.service.portal(user=alice, number=NUMBER, caller_name="EXAMPLE JANE")
    assert hs.users[GHOST] == "Jane"


async def test_a_change_of_the_address_book_changes_the_names_of_all_who_have_another(
    hs: ScriptedHomeserver, tmp_path: Path, alice: UserId
) -> None:
    names: dict[str, str] = {}
    async with running_bridge(hs, tmp_path / "db", name_of=names.get) as bridge:
        for number in ("+15550100", "+15550101", "+15550102"):
            await bridge.service.portal(user=alice, number=E164(number))
        names.update({"+15550100": "Jane", "+15550102": "Joe"})
        assert await bridge.service.rename_ghosts() == 2
        assert await bridge.service.rename_ghosts() == 0
        assert [hs.users[f"@_sip_+1555010{last}:example.org"] for last in "012"] == ["Jane", "+1 5550101", "Joe"]
        del names["+15550100"]
        assert await bridge.service.rename_ghosts() == 1
    assert hs.users[GHOST] == "+1 5550100"


async def test_names_that_could_not_be_changed_are_changed_the_next_time(
    hs: ScriptedHomeserver, tmp_path: Path, alice: UserId
) -> None:
    names: dict[str, str] = {}
    async with running_bridge(hs, tmp_path / "db", name_of=names.get) as bridge:
        await bridge.service.portal(user=alice, number=NUMBER)
        names["+15550100"] = "Jane"
        hs.faults.append(Fault(path="/profile/", status=403, errcode="M_FORBIDDEN"))
        with pytest.raises(MatrixError):
            await bridge.service.rename_ghosts()
        assert await bridge.service.rename_ghosts() == 1
    assert hs.users[GHOST] == "Jane"


async def test_all_telephones_have_the_picture_that_is_set_now(
    hs: ScriptedHomeserver, tmp_path: Path, alice: UserId
) -> None:
    async def changed(avatar: str) -> int:
        async with running_bridge(hs, tmp_path / "db", avatar=avatar) as bridge:
            number = await bridge.service.rename_ghosts()
            await bridge.service.portal(user=alice, number=NUMBER)
        return number

    assert await changed("") == 0
    assert GHOST not in hs.avatars
    for avatar in ("mxc://example.org/phone", "mxc://example.org/bell", ""):
        assert (await changed(avatar), await changed(avatar)) == (1, 0)
        assert hs.avatars[GHOST] == avatar


async def test_a_picture_of_the_address_book_is_uploaded_once_and_taken_away_with_the_entry(
    hs: ScriptedHomeserver, tmp_path: Path, alice: UserId
) -> None:
    jane, joe = read_picture(PNG), read_picture(PNG + b"joe")
    assert jane is not None
    assert joe is not None
    pictures = {"+15550100": jane, "+15550101": jane}
    default = "mxc://example.org/phone"
    async with running_bridge(hs, tmp_path / "db", avatar=default, picture_of=pictures.get) as bridge:
        for last in "012":
            await bridge.service.portal(user=alice, number=E164(f"+1555010{last}"))
        assert [hs.avatars[f"@_sip_+1555010{last}:example.org"] for last in "012"] == [*[*hs.media] * 2, default]
        assert [*hs.media.values()] == [("image/png", PNG)]
        pictures["+15550102"] = joe
        del pictures["+15550100"]
        assert await bridge.service.rename_ghosts() == 2
        assert hs.avatars[GHOST] == default
        assert hs.media[hs.avatars["@_sip_+15550102:example.org"]] == ("image/png", PNG + b"joe")
    async with running_bridge(hs, tmp_path / "db", avatar=default, picture_of=pictures.get) as bridge:
        assert await bridge.service.rename_ghosts() == 0
    assert len(hs.media) == 2


async def test_a_picture_that_could_not_be_uploaded_is_uploaded_the_next_time(
    hs: ScriptedHomeserver, tmp_path: Path, alice: UserId
) -> None:
    pictures: dict[str, Picture] = {}
    async with running_bridge(hs, tmp_path / "db", picture_of=pictures.get) as bridge:
        await bridge.service.portal(user=alice, number=NUMBER)
        picture = read_picture(PNG)
        assert picture is not None
        pictures[NUMBER] = picture
        hs.faults.append(Fault(path="/upload", status=429, retry_after_ms=60_000))
        with pytest.raises(MatrixError):
            await bridge.service.rename_ghosts()
        assert await bridge.service.rename_ghosts() == 1
    assert hs.avatars[GHOST] in hs.media


async def test_a_picture_that_the_homeserver_refuses_does_not_keep_a_telephone_from_calling(
    hs: ScriptedHomeserver, tmp_path: Path, alice: UserId
) -> None:
    hs.faults.append(Fault(path="/upload", status=413, errcode="M_TOO_LARGE"))
    async with running_bridge(hs, tmp_path / "db", picture_of=lambda number: read_picture(PNG)) as bridge:
        await bridge.service.portal(user=alice, number=NUMBER)
        assert await bridge.service.rename_ghosts() == 0
    assert (hs.media, hs.avatars) == ({}, {})
