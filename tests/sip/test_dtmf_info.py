"""Keys in INFO bodies, as devices write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.sip.dtmf_info import PLAIN_TYPE, RELAY_TYPE, Keys, parse_keys, relay_body
from bridge.sip.errors import LocalSipError, SipError


@pytest.mark.parametrize(
    ("body", "digits", "duration_ms"),
    [
        (b"Signal=5\r\nDuration=160\r\n", "5", 160),
        (b"Signal= 5\r\nDuration= 160", "5", 160),
        (b" SIGNAL = # \n duration = 100 \n", "#", 100),
        (b"signal=d", "D", 250),
        (b"Signal=*\r\n\r\nDuration=160\r\nVolume=10\r\n", "*", 160),
        (b"Signal=10\r\nDuration=160", "*", 160),
        (b"Signal=16\r\n", "!", 250),
        (b"Signal=hf\r\n", "!", 250),
        (b"Signal=flash\r\n", "!", 250),
        (b"Signal=1\r\nDuration=0\r\n", "1", 40),
        (b"Signal=1\r\nDuration=999999\r\n", "1", 5000),
    ],
)
def test_a_relayed_key(body: bytes, digits: str, duration_ms: int) -> None:
    assert parse_keys(RELAY_TYPE, body) == Keys(digits=digits, duration_ms=duration_ms)


@pytest.mark.parametrize(("body", "digits"), [(b"5", "5"), (b"5\r\n", "5"), (b" 12a# ", "12A#"), (b"!", "!")])
def test_plain_keys(body: bytes, digits: str) -> None:
    assert parse_keys(PLAIN_TYPE, body) == Keys(digits=digits)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (RELAY_TYPE, b""),
        (RELAY_TYPE, b"5"),
        (RELAY_TYPE, b"Signal="),
        (RELAY_TYPE, b"Signal=E"),
        (RELAY_TYPE, b"Signal=17"),
        (RELAY_TYPE, b"Signal=9" + b"9" * 200),
        (RELAY_TYPE, b"Signal=1\r\nSignal=2"),
        (RELAY_TYPE, b"Signal=1\r\nDuration=abc"),
        (RELAY_TYPE, b"Signal=1\r\nDuration=-5"),
        (RELAY_TYPE, b"Signal=1\r\nX=" + b"x" * 300),
        (RELAY_TYPE, "Signal=١".encode()),
        (PLAIN_TYPE, b""),
        (PLAIN_TYPE, b"1 2"),
        (PLAIN_TYPE, b"1" * 33),
        (PLAIN_TYPE, b"\xff"),
    ],
)
def test_what_is_no_key_is_refused(kind: str, body: bytes) -> None:
    with pytest.raises(SipError) as caught:
        parse_keys(kind, body)
    assert caught.value.status == 400


@pytest.mark.parametrize("kind", [None, "application/sdp", "application/media_control+xml"])
def test_another_kind_of_body_is_refused(kind: str | None) -> None:
    with pytest.raises(SipError) as caught:
        parse_keys(kind, b"Signal=1")
    assert caught.value.status == 415


@given(st.sampled_from("0123456789*#ABCD!"), st.integers(40, 5000))
def test_a_key_comes_back_as_it_was_written(digit: str, duration_ms: int) -> None:
    assert parse_keys(RELAY_TYPE, relay_body(digit, duration_ms)) == Keys(digits=digit, duration_ms=duration_ms)


@pytest.mark.parametrize("digit", ["", "12", "E", "5\r\nEvil: x", "a"])
def test_no_other_key_is_sent(digit: str) -> None:
    with pytest.raises(LocalSipError):
        relay_body(digit, 100)


def test_keys_are_not_shown() -> None:
    assert "7" not in repr(Keys(digits="7"))


@given(st.sampled_from([RELAY_TYPE, PLAIN_TYPE]), st.binary(max_size=60) | st.text(max_size=40).map(str.encode))
def test_whatever_the_body_only_a_sip_error_comes_out(kind: str, body: bytes) -> None:
    try:
        keys = parse_keys(kind, body)
    except SipError:
        return
    assert keys.digits
    assert set(keys.digits) <= set("0123456789*#ABCD!")
