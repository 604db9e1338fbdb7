"""The diagrams in the map of the code are those of the tables."""

from tests import diagrams


def test_the_diagrams_show_the_tables_as_they_are() -> None:
    text = diagrams.README.read_text()
    assert diagrams.with_diagrams(text) == text, "run: python -m tests.diagrams"
