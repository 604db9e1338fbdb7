"""What is read at all: strangers, rates, the order in which load is turned away, and memory that stays bounded."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.sip.inbound import MAX_TRANSACTIONS
from bridge.sip.limiter import (
    BURST_S,
    CEILING_FACTOR,
    MAX_SOURCES,
    REFUSALS_PER_S,
    SPARED_PER_S,
    TOTAL_FACTOR,
    Kind,
    Limiter,
    Verdict,
    peek,
)
from bridge.sip.overload import MAX_LEVEL, Overload
from tests.sip.samples import SDP, request, response
from tests.sip.scripted_peer import Scripted, peer_request
from tests.sip.torture_messages import ACCEPTED

RATE = 10
BURST = int(RATE * BURST_S)
PEER = "192.0.2.2"
INVITE = request("INVITE", body=SDP)
OPTIONS = request("OPTIONS")
REGISTER = request("REGISTER")
INSIDE = request("UPDATE", changes={"To": "<sip:a@example.org>;tag=1"})


def limiter(*, rate: int = RATE, level: int = 0) -> Limiter:
    overload = Overload()
    overload.level = level
    return Limiter(requests_per_s=rate, admits=lambda host: not host.startswith("198.51.100."), overload=overload)


def verdicts(subject: Limiter, payload: bytes, count: int, *, host: str = PEER, now: float = 0.0) -> Counter[Verdict]:
    return Counter(subject.judge(payload, host, now) for _ in range(count))


# Looking.


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        (INVITE, Kind.INVITE),
        (b"\r\n\r\n" + INVITE, Kind.INVITE),
        (OPTIONS, Kind.OPTIONS),
        (REGISTER, Kind.REGISTER),
        (request("MESSAGE"), Kind.OPTIONS),
        (response(), Kind.BEGUN),
        (response("sip/2.0 200 OK"), Kind.BEGUN),
        (request("ACK"), Kind.BEGUN),
        (request("BYE"), Kind.BEGUN),
        (request("CANCEL"), Kind.BEGUN),
        (INSIDE, Kind.BEGUN),
        (request("INVITE", changes={"To": None, "t": "sip:a@example.org;TAG=1"}), Kind.BEGUN),
        (request("INVITE", changes={"To": "<sip:a@example.org>\r\n ;\r\n\ttag=1"}), Kind.BEGUN),
        (request("INVITE", changes={"To": "<sip:a@example.org;tag=1>"}), Kind.INVITE),
        (request("INVITE", changes={"Topic": "<sip:a@example.org>;tag=1"}), Kind.INVITE),
        (b"\x80\x00" * 40, Kind.NO_SIP),
        (b"x" * 200 + b" y", Kind.NO_SIP),
        (b" INVITE", Kind.NO_SIP),
        (b"", Kind.NO_SIP),
    ],
)
def test_a_look_tells_what_a_message_seems_to_be(payload: bytes, kind: Kind) -> None:
    assert peek(payload) is kind


def test_no_message_that_is_valid_passes_for_none() -> None:
    assert Kind.NO_SIP not in {peek(payload) for payload in ACCEPTED.values()}


@given(st.binary(max_size=200))
def test_whatever_comes_there_is_a_verdict(payload: bytes) -> None:
    assert limiter().judge(payload, PEER, 0.0) in (Verdict.READ, Verdict.MALFORMED, Verdict.KEEP_ALIVE)


# Who and what.


@pytest.mark.parametrize(
    ("payload", "host", "verdict"),
    [
        (INVITE, "198.51.100.9", Verdict.ACL),
        (b"\r\n\r\n", "198.51.100.9", Verdict.ACL),
        (b"\r\n\r\n", PEER, Verdict.KEEP_ALIVE),
        (b"\0" * 500, PEER, Verdict.KEEP_ALIVE),
        (b"\x80" * 500, PEER, Verdict.MALFORMED),
        (INVITE + b"x" * 65_535, PEER, Verdict.SIZE),
        (INVITE, PEER, Verdict.READ),
    ],
)
def test_strangers_and_rubbish_are_dropped(payload: bytes, host: str, verdict: Verdict) -> None:
    assert limiter().judge(payload, host, 0.0) is verdict


def test_strangers_leave_nothing_behind() -> None:
    subject = limiter()
    for number in range(1000):
        subject.judge(INVITE, f"198.51.100.{number % 256}", 0.0)
    assert len(subject) == 0


# Rates.


def test_a_source_within_its_rate_is_read_for_ever() -> None:
    subject = limiter()
    assert {subject.judge(INVITE, PEER, number / RATE) for number in range(1000)} == {Verdict.READ}


def test_calls_beyond_the_rate_are_refused_and_then_silently_dropped() -> None:
    assert verdicts(limiter(rate=100), INVITE, 1000) == {
        Verdict.READ: 100 * BURST_S,
        Verdict.REFUSE_RATE: REFUSALS_PER_S * BURST_S,
        Verdict.RATE: 1000 - 100 * BURST_S - REFUSALS_PER_S * BURST_S,
    }


def test_what_was_too_much_is_taken_again_as_time_passes() -> None:
    subject = limiter()
    verdicts(subject, INVITE, 100)
    assert verdicts(subject, INVITE, 100, now=1.0)[Verdict.READ] == RATE
    assert verdicts(subject, INVITE, 100, now=100.0)[Verdict.READ] == BURST


def test_options_give_way_first_then_register_and_calls_last() -> None:
    subject = limiter()
    read = [verdicts(subject, payload, BURST)[Verdict.READ] for payload in (OPTIONS, REGISTER, INVITE)]
    assert read == [BURST // 2, BURST // 4, BURST // 4]


def test_what_belongs_to_a_call_is_read_when_new_requests_are_not() -> None:
    subject = limiter()
    verdicts(subject, INVITE, 100)
    for payload in (INSIDE, request("ACK"), request("BYE"), request("CANCEL"), response()):
        assert subject.judge(payload, PEER, 0.0) is Verdict.READ


def test_a_flood_that_pretends_to_belong_to_calls_has_a_ceiling() -> None:
    assert verdicts(limiter(), request("ACK"), 1000)[Verdict.READ] == CEILING_FACTOR * BURST


def test_one_source_that_floods_does_not_spend_anothers_budget() -> None:
    subject = limiter()
    verdicts(subject, INVITE, 1000, host="192.0.2.66")
    assert verdicts(subject, INVITE, 5) == {Verdict.READ: 5}


def test_all_sources_together_have_a_budget() -> None:
    subject = limiter()
    read = sum(subject.judge(INVITE, f"10.0.0.{number}", 0.0) is Verdict.READ for number in range(250))
    assert read == TOTAL_FACTOR * BURST


def test_an_ipv6_host_cannot_take_another_address_of_its_network() -> None:
    subject = limiter()
    for number in range(BURST):
        subject.judge(INVITE, f"2001:db8::{number:x}", 0.0)
    assert subject.judge(INVITE, "2001:db8::ffff", 0.0) is Verdict.REFUSE_RATE
    assert subject.judge(INVITE, "2001:db8:0:1::1", 0.0) is Verdict.READ


def test_a_rate_of_zero_reads_everything_that_is_sip() -> None:
    subject = limiter(rate=0)
    assert verdicts(subject, INVITE, 1000) == {Verdict.READ: 1000}
    assert subject.judge(b"\x80" * 9, PEER, 0.0) is Verdict.MALFORMED


def test_memory_is_bounded_however_many_sources_there_are() -> None:
    subject = limiter()
    for number in range(MAX_SOURCES + 500):
        subject.judge(OPTIONS, f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 0.0)
    assert len(subject) == MAX_SOURCES


# Overload.


@pytest.mark.parametrize(
    ("level", "read"),
    [(0, [OPTIONS, REGISTER, INVITE]), (1, [REGISTER, INVITE]), (2, [INVITE]), (3, [])],
)
def test_each_level_of_overload_turns_more_away(level: int, read: list[bytes]) -> None:
    subject = busy(level)
    assert [
        payload for payload in (OPTIONS, REGISTER, INVITE) if subject.judge(payload, PEER, 0.0) is Verdict.READ
    ] == read
    assert subject.judge(INSIDE, PEER, 0.0) is Verdict.READ


def busy(level: int) -> Limiter:
    """Overloaded, with a peer that has had more calls than overload spares."""
    subject = limiter(rate=100, level=level)
    verdicts(subject, INVITE, int(SPARED_PER_S * BURST_S))
    return subject


def test_overload_spares_a_few_calls_of_each_address() -> None:
    subject = limiter(rate=100, level=MAX_LEVEL)
    flooding = verdicts(subject, INVITE, 1000)
    assert flooding[Verdict.READ] == SPARED_PER_S * BURST_S
    assert subject.judge(INVITE, "192.0.2.3", 0.0) is Verdict.READ
    assert verdicts(subject, INVITE, 1000, now=1.0)[Verdict.READ] == SPARED_PER_S


def test_overload_is_told_to_callers_only() -> None:
    subject = busy(3)
    assert [subject.judge(payload, PEER, 0.0) for payload in (OPTIONS, REGISTER, INVITE)] == [
        Verdict.OVERLOAD,
        Verdict.OVERLOAD,
        Verdict.REFUSE_OVERLOAD,
    ]


def levels(measures: list[tuple[float, int]], *, every_s: float = 0.25) -> list[int]:
    overload, seen = Overload(), []
    for number, (lag_s, transactions) in enumerate(measures):
        overload.note(lag_s=lag_s, transactions=transactions, now=number * every_s)
        seen.append(overload.level)
    return seen


def test_overload_rises_step_by_step_and_no_further() -> None:
    assert levels([(0.3, 0)] * 9) == [0, 0, 1, 1, 2, 2, 3, 3, 3]
    assert levels([(0.0, MAX_TRANSACTIONS)] * 5) == [0, 0, 1, 1, 2]


def test_overload_falls_slower_than_it_rises() -> None:
    seen = levels([(0.3, 0)] * 5 + [(0.0, 0)] * 20)
    assert seen[4:] == [2] * 8 + [1] * 8 + [0] * 5


def test_load_between_strained_and_relaxed_moves_nothing() -> None:
    assert levels([(0.3, 0)] * 5 + [(0.07, 0)] * 40)[-1] == 2
    assert levels([(0.07, 0)] * 40)[-1] == 0


def test_late_moments_now_and_then_turn_nobody_away() -> None:
    assert max(levels([(0.0, 0), (2.5, 0), (0.5, 0), (0.0, 0)] * 10)) == 0 < MAX_LEVEL


# The user agent.


def test_a_call_beyond_the_limits_gets_503_and_a_time_to_come_back() -> None:
    peer = Scripted()
    peer.receive(peer_request("INVITE", sdp=SDP.decode()), refused="rate")
    answer = peer.last_response()
    assert answer.status == 503
    assert 5 <= int(answer.headers.get("Retry-After") or 0) <= 30
    assert (peer.agent.open_transactions, peer.agent.open_dialogs) == (0, 0)
    assert peer.counted("sip_dropped_total", reason="rate") == 1


def test_a_repeated_invite_of_a_call_that_was_taken_is_no_new_call() -> None:
    peer = Scripted()
    invite = peer_request("INVITE", sdp=SDP.decode())
    peer.receive(invite)
    peer.receive(invite, refused="rate")
    assert peer.titles() == ["100 INVITE", "100 INVITE"]


def test_a_request_inside_a_dialog_is_not_refused_even_if_it_looked_new() -> None:
    peer = Scripted()
    _, _, tag = peer.accepted_call()
    peer.receive(peer_request("BYE", cseq=2, to_tag=tag, branch="bye"), refused="overload")
    assert peer.titles() == ["200 BYE"]
