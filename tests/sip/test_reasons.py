"""Why a call ended, as peers write it (RFC 3326)."""

import pytest

from bridge.sip import reasons
from bridge.sip.grammar import parse_params
from bridge.sip.message import Request
from bridge.sip.reasons import cause, q850_cause


def with_reasons(*values: str) -> Request:
    return Request("BYE", "sip:a@example.org", [("Reason", value) for value in values])


@pytest.mark.parametrize(
    "value",
    [
        "Q.850;cause=16",
        "q.850 ; Cause = 16",
        'Q.850;cause=16;text="Normal call clearing"',
        "Q.850;cause=16;text=Normal call clearing",
        "Q.850;text=Normal call clearing;cause=16",
        'Q.850;text="not, this;cause=99";cause=16',
        'SIP;cause=200;text="Call completed elsewhere", Q.850;cause=16',
        "Q.850, Q.850;cause=16",
    ],
)
def test_the_cause_is_found(value: str) -> None:
    assert q850_cause(with_reasons(value)) == 16


@pytest.mark.parametrize(
    "value",
    ["", "Q.850", "Q.850;cause", "Q.850;cause=", "Q.850;cause=x", "Q.850;cause=1616", "Q.850;cause=0", "SIP;cause=16"],
)
def test_what_is_no_cause_is_none(value: str) -> None:
    assert q850_cause(with_reasons(value)) is None


def test_one_header_for_each_protocol() -> None:
    message = with_reasons("SIP;cause=200", "Q.850;cause=31")
    assert (cause(message, "SIP"), cause(message, "Q.850")) == (200, 31)


def test_a_value_that_cannot_be_read_does_not_hide_the_next() -> None:
    assert q850_cause(with_reasons('X;text="', "Q.850;cause=31")) == 31


def test_of_many_long_reasons_only_the_beginning_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def parse(text: str) -> dict[str, str | None]:
        read.append(text)
        return parse_params(text)

    monkeypatch.setattr(reasons, "parse_params", parse)
    values = ["Q.850;x=" * 128 * 60, *["Q.850;x=y," * 100] * 58, "Q.850;cause=16"]
    assert q850_cause(with_reasons(*values)) is None
    assert len(read) <= 64
    assert sum(map(len, read)) <= 8 * 1024
