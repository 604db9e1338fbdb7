"""Changes that are made one after the other."""

import asyncio

import pytest

from bridge.core.turn import Turn
from tests.patience import PATIENCE_S


async def test_a_larger_change_has_its_turn_from_its_first_part_to_its_last() -> None:
    turn, done = Turn(), list[str]()

    async def change(name: str) -> None:
        async with turn.taken():
            for part in ("first", "last"):
                async with turn.taken():
                    await asyncio.sleep(0)
                    done.append(f"{part} of {name}")

    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(change("one"), change("other"))
    assert done == ["first of one", "last of one", "first of other", "last of other"]


async def test_a_change_that_fails_keeps_nobody_waiting() -> None:
    turn = Turn()
    with pytest.raises(ValueError, match="no"):
        async with turn.taken():
            raise ValueError("no")
    async with asyncio.timeout(PATIENCE_S), turn.taken():
        pass
