"""A phone of a PBX is watched: subscribed to, told of, refreshed, lost and found again (RFC 6665, RFC 4235)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.sip.actions import TrunkResolved
from bridge.sip.dialog_info import CONTENT_TYPE, PhoneState
from bridge.sip.events import PhoneStateChanged, TrunkLeft
from bridge.sip.inputs import Stop
from bridge.sip.message import Request
from bridge.sip.phone_watch import TRANSITIONS, WatchState
from bridge.sip.requests import new_request
from bridge.sip.settings import Transport, TrunkAuth
from bridge.sip.targets import server_at
from bridge.sip.trunk_care import LINGER_S, LOOK_S
from bridge.sip.trunk_changes import ChangeTrunks
from tests.sip.scripted_peer import PEER, TRUNK, Scripted, trunk
from tests.sip.test_dialog_info import document

BUSY, IDLE, UNKNOWN = PhoneState.BUSY, PhoneState.IDLE, PhoneState.UNKNOWN
CONTACT = f"<sip:201@{PEER}:5060>"


def watching(auth: TrunkAuth = TrunkAuth.ADDRESS, **settings: object) -> Scripted:
    peer = Scripted(trunk(auth, presence_of=("201",), **settings))
    peer.start()
    return peer


def accept(peer: Scripted, expires: str = "600") -> Request:
    request = peer.last_request("SUBSCRIBE")
    peer.answer(request, 200, Expires=expires, Contact=CONTACT)
    return request


def subscribed() -> tuple[Scripted, Request]:
    peer = watching()
    return peer, accept(peer)


def notify(
    peer: Scripted,
    first: Request,
    body: bytes = b"",
    *,
    cseq: int = 1,
    tag: str = "peer",
    substate: str = "active;expires=600",
    event: str = "dialog",
    kind: str = CONTENT_TYPE,
    source: str = PEER,
) -> int:
    """The PBX tells; gives the status that it is answered with."""
    request = new_request(
        "NOTIFY",
        first.contacts[0].uri,
        from_=first.to.with_tag(tag),
        to=first.from_,
        sip_call_id=first.call_id,
        cseq=cseq,
        fields=(
            ("Via", f"SIP/2.0/UDP {source}:5060;branch=z9hG4bKn{peer.now}{cseq}{len(peer.sent)}"),
            ("Contact", CONTACT),
            ("Event", event),
            ("Subscription-State", substate),
            *([("Content-Type", kind)] if body else []),
        ),
    )
    request.body = body
    peer.receive(request, source=source)
    return peer.last_response().status


def states(peer: Scripted) -> list[PhoneState]:
    return [event.state for event in peer.events if isinstance(event, PhoneStateChanged)]


def attempt_s(peer: Scripted, *, limit_s: float = 8000.0) -> float:
    """How long until the next SUBSCRIBE."""
    before, start = peer.titles().count("SUBSCRIBE"), peer.now
    while peer.titles().count("SUBSCRIBE") == before and peer.now - start < limit_s:
        deadline = peer.agent.next_deadline()
        if deadline is None:
            return limit_s
        peer.advance(max(deadline - peer.now, 0.001))
    return peer.now - start


def test_the_subscribe_asks_for_the_calls_of_the_phone() -> None:
    request = watching().last_request("SUBSCRIBE")
    assert request.uri_text == str(request.to.uri) == f"sip:201@{PEER}"
    wanted = {"Event": "dialog", "Accept": CONTENT_TYPE, "Expires": "3600"}
    assert {name: request.headers.get(name) for name in wanted} == wanted


def test_nobody_is_watched_unless_the_settings_say_so() -> None:
    peer = Scripted()
    peer.start()
    assert peer.titles() == []


def test_each_change_of_the_phone_is_told_once() -> None:
    peer, first = subscribed()
    for cseq, words in enumerate([(), ("early",), ("confirmed",), ("confirmed",), ("terminated",)], start=1):
        assert notify(peer, first, document(*words, version=cseq), cseq=cseq) == 200
    assert states(peer) == [IDLE, PhoneState.RINGING, BUSY, IDLE]
    assert peer.events[0] == PhoneStateChanged(trunk=TRUNK, phone="201", state=IDLE)


def test_a_notify_that_comes_before_the_answer_counts() -> None:
    peer = watching()
    first = peer.last_request("SUBSCRIBE")
    assert notify(peer, first, document("confirmed")) == 200
    accept(peer)
    assert states(peer) == [BUSY]


def test_a_challenge_is_answered_also_when_refreshing() -> None:
    peer = watching(TrunkAuth.DIGEST)
    peer.challenge(peer.last_request("SUBSCRIBE"), 401)
    first = accept(peer)
    assert "Authorization" in first.headers
    assert 300 <= attempt_s(peer) <= 540
    refresh = peer.last_request("SUBSCRIBE")
    assert (refresh.call_id, refresh.to.tag, refresh.uri_text) == (first.call_id, "peer", f"sip:201@{PEER}:5060")
    peer.challenge(refresh, 401, nonce="n2")
    again = peer.last_request("SUBSCRIBE")
    assert again.cseq.number == refresh.cseq.number + 1
    accept(peer)
    assert 300 <= attempt_s(peer) <= 540
    assert states(peer) == []


def test_partial_states_change_what_is_known_and_old_ones_do_not() -> None:
    peer, first = subscribed()
    notify(peer, first, document("early", "confirmed", version=5), cseq=1)
    notify(peer, first, document("terminated", version=6, state="partial"), cseq=2)
    notify(peer, first, document(version=4), cseq=3)
    assert states(peer) == [BUSY]
    notify(peer, first, document("terminated", "terminated", version=7, state="partial"), cseq=4)
    assert states(peer) == [BUSY, IDLE]


def test_a_partial_state_that_was_missed_is_fetched() -> None:
    peer, first = subscribed()
    notify(peer, first, document("early", version=5), cseq=1)
    notify(peer, first, document("confirmed", version=7, state="partial"), cseq=2)
    assert attempt_s(peer) <= 5


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"event": "presence"}, 489),
        ({"event": "refer"}, 481),
        ({"tag": "another"}, 481),
        ({"kind": "application/pidf+xml"}, 415),
        ({"body": b"<nonsense"}, 400),
    ],
)
def test_what_is_not_ours_or_cannot_be_read_changes_nothing(changes: dict[str, object], status: int) -> None:
    peer, first = subscribed()
    assert notify(peer, first, **{"body": document("confirmed"), **changes}) == status  # type: ignore[arg-type]
    assert states(peer) == []
    assert notify(peer, first, document("confirmed"), cseq=2) == 200


def test_a_stranger_tells_us_nothing() -> None:
    peer, first = subscribed()
    peer.sent.clear()
    with pytest.raises(StopIteration):
        notify(peer, first, document("confirmed"), source="198.51.100.9")
    assert states(peer) == []


def test_an_old_notify_does_not_come_after_a_new_one() -> None:
    peer, first = subscribed()
    notify(peer, first, document("confirmed", version=1), cseq=2)
    assert notify(peer, first, document(version=2), cseq=1) == 500
    assert states(peer) == [BUSY]


@pytest.mark.parametrize(
    ("substate", "at_least_s", "at_most_s"),
    [
        ("terminated;reason=deactivated", 1, 5),
        ("terminated;reason=timeout", 1, 5),
        ("terminated;reason=probation;retry-after=700", 700, 700),
        ("terminated;reason=noresource", 15, 30),
        ("terminated", 15, 30),
    ],
)
def test_a_pbx_that_ends_the_subscription_is_asked_again_when_it_wants(
    substate: str, at_least_s: float, at_most_s: float
) -> None:
    peer, first = subscribed()
    notify(peer, first, document("confirmed"))
    assert notify(peer, first, substate=substate, cseq=2) == 200
    assert states(peer) == [BUSY, UNKNOWN]
    assert at_least_s <= attempt_s(peer) <= at_most_s + 0.1
    again = peer.last_request("SUBSCRIBE")
    assert (again.call_id != first.call_id, again.to.tag) == (True, None)
    assert notify(peer, first, document("confirmed"), cseq=3) == 481


def test_a_pbx_that_accepts_and_ends_at_once_is_asked_ever_less_often() -> None:
    peer = watching()
    waits = []
    for _ in range(8):
        first = accept(peer)
        notify(peer, first, substate="terminated;reason=timeout")
        waits.append(attempt_s(peer))
    assert waits[-1] > 800


def test_a_refusal_is_tried_again_less_and_less_often() -> None:
    peer = watching()
    waits = []
    for _ in range(9):
        peer.answer(peer.last_request("SUBSCRIBE"), 403)
        waits.append(attempt_s(peer))
    for failures, wait_s in enumerate(waits):
        limit_s = min(1800, 30 * 2**failures)
        assert 0.5 * limit_s <= wait_s <= limit_s
    assert peer.counted("sip_subscriptions_total", outcome="failed") == 9


@pytest.mark.parametrize("status", [481, 489])
def test_a_pbx_that_was_restarted_is_subscribed_to_anew(status: int) -> None:
    peer, first = subscribed()
    notify(peer, first, document("confirmed"))
    attempt_s(peer)
    peer.answer(peer.last_request("SUBSCRIBE"), status)
    assert states(peer) == [BUSY, UNKNOWN]
    assert attempt_s(peer) <= 5
    assert peer.last_request("SUBSCRIBE").call_id != first.call_id


def test_a_pbx_that_says_nothing_is_asked_again() -> None:
    peer = watching()
    assert attempt_s(peer) < 100
    assert peer.counted("sip_subscriptions_total", outcome="failed") == 0
    peer.advance(40)
    assert peer.counted("sip_subscriptions_total", outcome="failed") == 1


def test_a_pbx_may_want_longer_intervals_once() -> None:
    peer = watching()
    peer.answer(peer.last_request("SUBSCRIBE"), 423, Min_Expires="7200")
    assert peer.last_request("SUBSCRIBE").headers.get("Expires") == "7200"
    peer.answer(peer.last_request("SUBSCRIBE"), 423, Min_Expires="9000")
    assert attempt_s(peer) >= 15


def test_what_lasts_no_time_is_no_subscription() -> None:
    peer = watching()
    accept(peer, expires="1")
    assert attempt_s(peer) >= 15


def test_a_pbx_whose_name_is_resolved_late_is_asked_at_once() -> None:
    peer = Scripted(trunk(host="pbx.example.org", presence_of=("201",)))
    state = peer.agent._context.trunks.get(TRUNK)
    assert state is not None
    state.servers = ()
    peer.start()
    assert peer.titles() == []
    peer.feed(TrunkResolved(trunk=TRUNK, servers=server_at((PEER,), 5060, Transport.UDP)))
    assert peer.titles() == ["SUBSCRIBE"]


def test_when_we_stop_the_pbx_is_told() -> None:
    peer, first = subscribed()
    peer.feed(Stop())
    last = peer.last_request("SUBSCRIBE")
    assert (last.call_id, last.headers.get("Expires")) == (first.call_id, "0")
    before = peer.agent.settled
    assert notify(peer, first, substate="terminated;reason=timeout") == 200
    assert (before, peer.agent.settled) == (False, True)
    peer.answer(last, 200, Expires="0")
    assert notify(peer, first, substate="terminated;reason=timeout", cseq=2) == 481


def test_a_subscription_that_is_under_way_is_answered_before_it_is_taken_back() -> None:
    peer = watching()
    peer.feed(Stop())
    peer.advance(3.0)
    first = peer.last_request("SUBSCRIBE")
    assert first.headers.get("Expires") == "3600", "repeated, as over UDP it has to be"
    assert notify(peer, first, document("confirmed")) == 200
    before = peer.agent.settled
    accept(peer)
    last = peer.last_request("SUBSCRIBE")
    assert (last.call_id, last.to.tag, last.headers.get("Expires")) == (first.call_id, "peer", "0")
    peer.answer(last, 200, Expires="0")
    assert (before, peer.agent.settled) == (False, True)
    assert states(peer) == []


@pytest.mark.parametrize("status", [401, 403, 423, 503])
def test_a_subscription_that_is_refused_while_it_is_not_wanted_any_more_is_over(status: int) -> None:
    peer = watching(TrunkAuth.DIGEST)
    request = peer.last_request("SUBSCRIBE")
    peer.feed(Stop())
    peer.sent.clear()
    if status == 401:
        peer.challenge(request, 401)
    else:
        peer.answer(request, status, Min_Expires="7200")
    assert peer.titles() == []
    assert peer.agent.settled


@pytest.mark.parametrize("refreshing", [False, True])
def test_a_challenge_is_answered_also_when_it_is_taken_back(refreshing: bool) -> None:
    peer = watching(TrunkAuth.DIGEST)
    accept(peer)
    if refreshing:
        attempt_s(peer)
    peer.feed(Stop())
    peer.challenge(peer.last_request("SUBSCRIBE"), 401)
    last = peer.last_request("SUBSCRIBE")
    assert (last.headers.get("Expires"), "Authorization" in last.headers) == ("0", True)
    peer.answer(last, 200, Expires="0")
    assert peer.agent.settled


def test_phones_of_a_trunk_that_changes_while_it_is_asked_are_watched_once() -> None:
    peer = watching()
    first = peer.last_request("SUBSCRIBE")
    peer.feed(ChangeTrunks(trunks=(trunk(),), emergency=frozenset()))
    peer.answer(first, 200, Expires="600", Contact=CONTACT)
    assert (peer.last_request("SUBSCRIBE").call_id, peer.last_request("SUBSCRIBE").expires) == (first.call_id, 0)


def test_a_trunk_is_listened_to_until_the_last_of_its_phones_is_taken_back() -> None:
    peer = watching(TrunkAuth.DIGEST)
    accept(peer)
    peer.feed(ChangeTrunks(trunks=(), emergency=frozenset()))
    peer.advance(31.0)
    peer.challenge(peer.last_request("SUBSCRIBE"), 401)
    peer.advance(31.0)
    assert TrunkLeft(trunk=TRUNK) not in peer.events
    peer.answer(peer.last_request("SUBSCRIBE"), 200, Expires="0")
    peer.advance(LINGER_S + 2 * LOOK_S)
    assert peer.last_event() == TrunkLeft(trunk=TRUNK)
    assert peer.agent.next_deadline() is None


def test_every_state_can_be_stopped() -> None:
    stoppable = {state for state, event in TRANSITIONS if event.__name__ == "StopAsked"}
    assert stoppable == set(WatchState) - {WatchState.ENDING, WatchState.UNSUBSCRIBING, WatchState.STOPPED}


SUBSTATES = ("active", "pending", "terminated", "terminated;reason=deactivated", "terminated;retry-after=5", "", "x;=")
STEPS = st.one_of(
    st.tuples(st.just("answer"), st.sampled_from([100, 200, 202, 401, 403, 404, 423, 481, 489, 500, 503])),
    st.tuples(
        st.just("notify"), st.tuples(st.sampled_from(SUBSTATES), st.integers(0, 4), st.sampled_from(["peer", "x"]))
    ),
    st.tuples(st.just("wait"), st.sampled_from([1.0, 33.0, 700.0])),
    st.tuples(st.just("resolve"), st.none()),
)


@given(steps=st.lists(STEPS, max_size=25))
def test_whatever_a_pbx_does_the_phone_is_watched_again_and_stopping_ends_it(
    steps: list[tuple[str, Any]],
) -> None:
    peer = watching(TrunkAuth.DIGEST)
    for number, (what, how) in enumerate(steps):
        request = peer.last_request("SUBSCRIBE")
        match what:
            case "answer" if how == 401:
                peer.challenge(request, 401, nonce=f"n{number}")
            case "answer":
                peer.answer(request, how, Expires="600", Contact=CONTACT, Min_Expires="1200")
            case "notify":
                substate, version, tag = how
                notify(peer, request, document("early", version=version), cseq=number, tag=tag, substate=substate)
            case "wait":
                peer.advance(how)
            case _:
                peer.feed(TrunkResolved(trunk=TRUNK, servers=server_at((PEER,), 5060, Transport.UDP)))
    assert attempt_s(peer) < 3600
    assert peer.counted("sip_unexpected_events_total") == 0
    peer.feed(Stop())
    peer.advance(64)
    assert peer.agent.next_deadline() is None
