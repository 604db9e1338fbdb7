"""The tables of RFC 4028, row by row."""

import pytest

from bridge.sip.errors import SipError
from bridge.sip.session_timer import (
    Asked,
    Policy,
    Refresher,
    SessionExpires,
    SessionInterval,
    answer_fields,
)
from bridge.sip.settings import SessionTimer
from tests.sip.scripted_peer import trunk

POLICY = Policy(setting=SessionTimer.SUPPORTED, interval_s=1800, min_se_s=90)
OFF = Policy(setting=SessionTimer.OFF, interval_s=1800, min_se_s=90)
REQUIRED = Policy(setting=SessionTimer.REQUIRED, interval_s=1800, min_se_s=90)
UAC, UAS = Refresher.UAC, Refresher.UAS


def asked(
    interval_s: int | None, refresher: Refresher | None = None, *, known: bool = True, min_se_s: int = 0
) -> Asked:
    wish = None if interval_s is None else SessionExpires(interval_s=interval_s, refresher=refresher)
    return Asked(wish=wish, min_se_s=min_se_s, known=known)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1800", SessionExpires(interval_s=1800)),
        ("90;refresher=uac", SessionExpires(interval_s=90, refresher=UAC)),
        ("90 ; Refresher = UAS;x=y", SessionExpires(interval_s=90, refresher=UAS)),
        ("90;refresher=proxy", SessionExpires(interval_s=90)),
    ],
)
def test_the_header_is_read(text: str, expected: SessionExpires) -> None:
    assert SessionExpires.parse(text) == expected


@pytest.mark.parametrize("text", ["", "soon", "-1", "12345678901", "90;;", "90 refresher=uac"])
def test_what_is_no_interval_is_refused(text: str) -> None:
    with pytest.raises(SipError) as raised:
        SessionExpires.parse(text)
    assert raised.value.status == 400


@pytest.mark.parametrize(
    ("known", "refresher", "ours"),
    [
        (False, None, True),
        (False, UAC, True),
        (False, UAS, True),
        (True, None, True),
        (True, UAC, False),
        (True, UAS, True),
    ],
)
def test_who_confirms_when_we_are_asked(known: bool, refresher: Refresher | None, ours: bool) -> None:
    """RFC 4028 table 2; where it leaves the choice, we confirm ourselves."""
    agreed = POLICY.answer(asked(600, refresher, known=known))
    assert agreed == SessionInterval(interval_s=600, ours=ours)


@pytest.mark.parametrize(
    ("wish_s", "min_se_s", "agreed_s"),
    [(1800, 0, 1800), (7200, 0, 1800), (7200, 3600, 3600), (600, 90, 600), (100, 3600, 100), (90, 0, 90), (1, 0, 90)],
)
def test_an_interval_is_shortened_to_ours_but_not_below_what_the_way_takes(
    wish_s: int, min_se_s: int, agreed_s: int
) -> None:
    agreed = POLICY.answer(asked(wish_s, min_se_s=min_se_s))
    assert agreed is not None
    assert agreed.interval_s == agreed_s


@pytest.mark.parametrize(
    ("policy", "known", "agreed"),
    [
        (OFF, True, None),
        (OFF, False, None),
        (POLICY, True, SessionInterval(interval_s=1800, ours=True)),
        (POLICY, False, None),
        (REQUIRED, True, SessionInterval(interval_s=1800, ours=True)),
        (REQUIRED, False, SessionInterval(interval_s=1800, ours=True)),
    ],
)
def test_what_we_agree_to_when_nobody_asks(policy: Policy, known: bool, agreed: SessionInterval | None) -> None:
    assert policy.answer(asked(None, known=known)) == agreed


def test_one_who_asks_for_none_while_it_is_off_gets_none() -> None:
    assert OFF.answer(asked(600, UAC)) is None
    assert tuple(OFF.request_fields()) == ()
    assert OFF.accepted(SessionExpires(interval_s=600)) is None
    assert not OFF.is_too_short(asked(10))


@pytest.mark.parametrize(
    ("interval_s", "known", "too_short"), [(89, True, True), (90, True, False), (89, False, False), (None, True, False)]
)
def test_a_short_interval_is_refused_to_those_who_understand_it(
    interval_s: int | None, known: bool, too_short: bool
) -> None:
    assert POLICY.is_too_short(asked(interval_s, known=known)) is too_short


@pytest.mark.parametrize(
    ("answer", "agreed"),
    [
        (None, None),
        (SessionExpires(interval_s=600), SessionInterval(interval_s=600, ours=True)),
        (SessionExpires(interval_s=600, refresher=UAC), SessionInterval(interval_s=600, ours=True)),
        (SessionExpires(interval_s=600, refresher=UAS), SessionInterval(interval_s=600, ours=False)),
        (SessionExpires(interval_s=1, refresher=UAC), SessionInterval(interval_s=90, ours=True)),
    ],
)
def test_what_a_2xx_agrees_to(answer: SessionExpires | None, agreed: SessionInterval | None) -> None:
    assert POLICY.accepted(answer) == agreed


def test_after_a_422_nothing_shorter_is_asked_for_again() -> None:
    policy = POLICY.at_least(3600)
    assert dict(policy.request_fields()) == {"Session-Expires": "3600", "Min-SE": "3600"}
    agreed = SessionInterval(interval_s=1800, ours=True)
    assert dict(policy.request_fields(agreed)) == {"Session-Expires": "3600;refresher=uac", "Min-SE": "3600"}


@pytest.mark.parametrize(("ours", "as_uac", "as_uas"), [(True, "uac", "uas"), (False, "uas", "uac")])
def test_whoever_confirms_goes_on_doing_so(ours: bool, as_uac: str, as_uas: str) -> None:
    agreed = SessionInterval(interval_s=600, ours=ours)
    assert dict(POLICY.request_fields(agreed))["Session-Expires"] == f"600;refresher={as_uac}"
    fields = dict(answer_fields(agreed))
    assert fields["Session-Expires"] == f"600;refresher={as_uas}"
    assert ("Require" in fields) is not ours


@pytest.mark.parametrize(("interval_s", "refresh_s", "end_s"), [(1800, 900, 1768), (90, 45, 60), (96, 48, 64)])
def test_it_is_confirmed_at_half_time_and_ends_a_little_early(interval_s: int, refresh_s: float, end_s: float) -> None:
    agreed = SessionInterval(interval_s=interval_s, ours=True)
    assert (agreed.refresh_after_s, agreed.ends_after_s) == (refresh_s, end_s)


def test_an_interval_is_never_shorter_than_what_is_agreed_to() -> None:
    policy = Policy.of(trunk(session_expires_s=90, min_se_s=600))
    assert policy.interval_s == 600
