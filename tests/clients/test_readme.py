"""The page about clients names only tests that exist."""

import re
from pathlib import Path

HERE = Path(__file__).parent
PAGE = (HERE / "README.md").read_text()
NAMED = re.findall(r"`([a-z_0-9/]+\.py)::(\w+)`", PAGE)


def is_defined(path: str, name: str) -> bool:
    file = HERE.parent / path
    return file.exists() and re.search(rf"^(async )?def {name}\(", file.read_text(), re.MULTILINE) is not None


def test_every_test_that_is_named_exists() -> None:
    assert [entry for entry in NAMED if not is_defined(*entry)] == []


def test_nothing_looks_like_a_test_and_is_misspelt() -> None:
    assert len(NAMED) == PAGE.count("::")
