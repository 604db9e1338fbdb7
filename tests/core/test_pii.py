"""Values that identify people do not show themselves."""

import copy
import json

import pytest

from bridge.core.pii import Pii, use_redaction_key

NUMBER = "+15550100"


def test_it_reveals_itself_only_when_asked() -> None:
    value = Pii(NUMBER)
    assert value.reveal() == NUMBER
    for shown in (str(value), repr(value), f"{value}", f"{value!r}", repr([value]), repr({"a": value})):
        assert NUMBER not in shown


def test_it_cannot_be_serialised_by_accident() -> None:
    with pytest.raises(TypeError):
        json.dumps({"caller": Pii(NUMBER)})


def test_equal_values_are_equal_and_look_equal() -> None:
    assert Pii(NUMBER) == Pii(NUMBER) == copy.copy(Pii(NUMBER))
    assert Pii(NUMBER) != Pii("+15550101")
    assert Pii(NUMBER) != NUMBER
    assert len({Pii(NUMBER), Pii(NUMBER)}) == 1
    assert str(Pii(NUMBER)) == str(Pii(NUMBER))
    assert str(Pii(NUMBER)) != str(Pii("+15550101"))


def test_the_hash_depends_on_the_key() -> None:
    use_redaction_key(b"one" * 8)
    before = str(Pii(NUMBER))
    use_redaction_key(b"two" * 8)
    assert str(Pii(NUMBER)) != before


def test_text_that_is_no_unicode_is_redacted_too() -> None:
    assert str(Pii("\ud800")).startswith("[redacted#")
