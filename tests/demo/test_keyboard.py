"""What is typed while the demo stays up."""

import asyncio
import os
from pathlib import Path

import pytest

from deploy.demo.keyboard import Keyboard
from tests.patience import PATIENCE_S


async def test_lines_arrive_however_they_are_cut() -> None:
    read_end, write_end = os.pipe()
    keyboard = Keyboard(read_end)
    try:
        os.write(write_end, b"call\n\nqu")
        first = [await asyncio.wait_for(keyboard.next_line(), PATIENCE_S) for _ in range(2)]
        os.write(write_end, b"it\n")

        assert [*first, await asyncio.wait_for(keyboard.next_line(), PATIENCE_S)] == ["call", "", "quit"]
    finally:
        keyboard.close()
        os.close(read_end)
        os.close(write_end)


async def test_a_flood_of_lines_is_cut_short() -> None:
    read_end, write_end = os.pipe()
    keyboard = Keyboard(read_end)
    try:
        os.write(write_end, b"call\n" * 500)

        assert await asyncio.wait_for(keyboard.next_line(), PATIENCE_S) == "call"
    finally:
        keyboard.close()
        os.close(read_end)
        os.close(write_end)


async def test_without_a_keyboard_no_line_comes_and_nothing_breaks(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w+b") as file:
        keyboard = Keyboard(file.fileno())

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(keyboard.next_line(), 0.01)
        keyboard.close()
