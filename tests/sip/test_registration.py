"""Registering at a trunk, refreshing, failing and stopping (RFC 3261 §10.2, RFC 5626 §4.5), and asking with OPTIONS."""

import pytest

from bridge.sip.actions import ConnectionClosed, Flow, TrunkResolved
from bridge.sip.inputs import Stop
from bridge.sip.message import Request
from bridge.sip.settings import Transport, TrunkAuth
from bridge.sip.targets import server_at
from bridge.sip.uri import SipUri
from tests.sip.scripted_peer import PEER, TRUNK, US, Scripted, trunk

REGISTER = trunk(TrunkAuth.REGISTER, domain="example.org", register_user="+15550199")


def started(**settings: object) -> Scripted:
    peer = Scripted(trunk(TrunkAuth.REGISTER, **settings))
    peer.start()
    return peer


def grant(peer: Scripted, expires_s: int) -> None:
    request = peer.last_request("REGISTER")
    contact = str(request.contacts[0].uri)
    peer.answer(request, 200, Contact=f"<{contact}>;expires={expires_s}")


def next_attempt_s(peer: Scripted, *, limit_s: float = 4000.0) -> float:
    """How long until the next REGISTER, which is answered by nobody."""
    before, start = peer.titles().count("REGISTER"), peer.now
    while peer.titles().count("REGISTER") == before and peer.now - start < limit_s:
        deadline = peer.agent.next_deadline()
        if deadline is None:
            return limit_s
        peer.advance(max(deadline - peer.now, 0.001))
    return peer.now - start


def test_the_register_names_account_and_contact() -> None:
    peer = Scripted(REGISTER)
    peer.start()
    request = peer.last_request("REGISTER")
    assert request.uri_text == "sip:example.org"
    assert str(request.to.uri) == str(request.from_.uri) == "sip:+15550199@example.org"
    assert request.contacts[0].expires == request.expires == 600
    assert str(request.contacts[0].uri).startswith(f"sip:+15550199@{US}:5060")


def test_a_challenge_is_answered_and_the_trunk_is_up() -> None:
    peer = started()
    first = peer.last_request("REGISTER")
    assert not peer.agent.trunk_up(TRUNK)
    peer.challenge(first, 401)
    second = peer.last_request("REGISTER")
    assert "Authorization" in second.headers
    assert (second.call_id, second.cseq.number) == (first.call_id, first.cseq.number + 1)
    grant(peer, 600)
    assert peer.agent.trunk_up(TRUNK)
    assert peer.counted("registrations_total", outcome="granted") == 1


@pytest.mark.parametrize("expires_s", [30, 600, 3600])
def test_it_is_refreshed_between_half_and_nine_tenths_of_what_was_granted(expires_s: int) -> None:
    peer = started()
    grant(peer, expires_s)
    assert 0.5 * expires_s <= next_attempt_s(peer) <= 0.9 * expires_s
    assert peer.agent.trunk_up(TRUNK)


def test_the_expires_header_counts_where_the_contact_is_not_listed() -> None:
    peer = started()
    peer.answer(peer.last_request("REGISTER"), 200, Expires="100")
    assert 50 <= next_attempt_s(peer) <= 90


def test_an_interval_that_is_too_short_is_lengthened() -> None:
    peer = started()
    peer.answer(peer.last_request("REGISTER"), 423, Min_Expires="1800")
    assert peer.last_request("REGISTER").expires == 1800
    grant(peer, 1800)
    assert peer.agent.trunk_up(TRUNK)


def test_a_registrar_that_always_wants_longer_is_not_believed_twice() -> None:
    peer = started()
    peer.answer(peer.last_request("REGISTER"), 423, Min_Expires="1800")
    peer.answer(peer.last_request("REGISTER"), 423, Min_Expires="3600")
    assert peer.titles() == ["REGISTER"] * 2


def test_it_gives_up_after_the_third_refusal() -> None:
    peer = started()
    for _ in range(2):
        peer.answer(peer.last_request("REGISTER"), 403)
        assert next_attempt_s(peer) < 100
    peer.answer(peer.last_request("REGISTER"), 403)
    assert next_attempt_s(peer) == 4000
    assert peer.counted("registrations_total", outcome="refused") == 3


def test_a_wrong_password_counts_as_refused() -> None:
    peer = started()
    peer.challenge(peer.last_request("REGISTER"), 401)
    peer.challenge(peer.last_request("REGISTER"), 401, nonce="n2")
    assert peer.counted("registrations_total", outcome="refused") == 1
    (note,) = [note for note in peer.notes if note.event == "registration_failed"]
    assert "password" in str(note.fields["remedy"])


def test_the_wait_doubles_after_each_failure_up_to_half_an_hour() -> None:
    peer = started()
    waits = []
    for _ in range(9):
        peer.answer(peer.last_request("REGISTER"), 500)
        waits.append(next_attempt_s(peer))
    for failures, wait_s in enumerate(waits):
        limit_s = min(1800, 30 * 2**failures)
        assert 0.5 * limit_s <= wait_s <= limit_s


def test_the_registrar_may_ask_for_patience() -> None:
    peer = started()
    peer.answer(peer.last_request("REGISTER"), 503, Retry_After="300")
    assert next_attempt_s(peer) >= 300


def test_silence_makes_the_trunk_go_down_and_an_answer_brings_it_back() -> None:
    peer = started()
    grant(peer, 100)
    next_attempt_s(peer)
    peer.advance(33)
    assert not peer.agent.trunk_up(TRUNK)
    assert peer.counted("registrations_total", outcome="failed") == 1
    next_attempt_s(peer)
    grant(peer, 100)
    assert peer.agent.trunk_up(TRUNK)


def test_a_name_that_is_resolved_late_is_registered_at_once() -> None:
    peer = Scripted(trunk(TrunkAuth.REGISTER, host="trunk.example.org"))
    state = peer.agent._context.trunks.get(TRUNK)
    assert state is not None
    state.servers = ()
    peer.start()
    assert peer.titles() == []
    peer.feed(TrunkResolved(trunk=TRUNK, servers=server_at((PEER,), 5060, Transport.UDP)))
    assert peer.titles() == ["REGISTER"]


def test_a_lost_connection_is_replaced() -> None:
    peer = Scripted(trunk(TrunkAuth.REGISTER, transport=Transport.TCP), transport=Transport.TCP)
    peer.start()
    grant(peer, 600)
    peer.feed(ConnectionClosed(flow=Flow(transport=Transport.TCP, host=PEER, port=5060, connection=1)))
    assert not peer.agent.trunk_up(TRUNK)
    assert next_attempt_s(peer) <= 1


def test_a_registrar_that_keeps_no_connections_is_not_flooded_and_not_given_up() -> None:
    peer = Scripted(trunk(TrunkAuth.REGISTER, transport=Transport.TCP), transport=Transport.TCP)
    peer.start()
    registered, up = 0, []
    for _ in range(600):
        if peer.titles()[-1:] == ["REGISTER"] and len(peer.sent) > registered:
            registered = len(peer.sent)
            grant(peer, 600)
            peer.feed(ConnectionClosed(flow=Flow(transport=Transport.TCP, host=PEER, port=5060, connection=1)))
            up.append(peer.agent.trunk_up(TRUNK))
        peer.advance(1)
    assert registered <= 12
    assert up[0] is False
    assert all(up[1:])


def test_stopping_takes_the_contact_back() -> None:
    peer = started()
    grant(peer, 600)
    peer.feed(Stop())
    before = peer.agent.settled
    request = peer.last_request("REGISTER")
    assert request.expires == 0
    peer.challenge(request, 401)
    peer.answer(peer.last_request("REGISTER"), 200)
    assert (before, peer.agent.settled) == (False, True)
    assert peer.titles() == ["REGISTER"] * 3


@pytest.mark.parametrize("expires_s", [0, 1, 9])
def test_a_registrar_that_grants_next_to_nothing_has_not_let_us_in(expires_s: int) -> None:
    peer = started()
    waits = []
    for _ in range(3):
        grant(peer, expires_s)
        assert not peer.agent.trunk_up(TRUNK)
        waits.append(next_attempt_s(peer))
    assert [15 <= waits[0] <= 30, 30 <= waits[1] <= 60, 60 <= waits[2] <= 120] == [True] * 3
    assert peer.counted("registrations_total", outcome="failed") == 3
    grant(peer, 600)
    assert peer.agent.trunk_up(TRUNK)


@pytest.mark.parametrize(("expires_s", "floor_s"), [(10, 9), (33, 29.7), (50, 30)])
def test_a_short_binding_is_refreshed_no_more_often_than_it_must(expires_s: int, floor_s: float) -> None:
    for seed in range(10):
        peer = started()
        for _ in range(seed):
            peer.agent._context.entropy.uniform(0, 1)
        grant(peer, expires_s)
        assert floor_s - 0.01 <= next_attempt_s(peer) <= 0.9 * expires_s + 0.01


def test_a_binding_that_may_be_left_of_a_failed_refresh_is_taken_back() -> None:
    peer = started()
    grant(peer, 600)
    next_attempt_s(peer)
    peer.answer(peer.last_request("REGISTER"), 500)
    peer.feed(Stop())
    assert peer.last_request("REGISTER").expires == 0
    assert not peer.agent.settled
    peer.answer(peer.last_request("REGISTER"), 200)
    assert peer.agent.settled


def test_a_register_whose_answer_was_lost_is_taken_back() -> None:
    peer = started()
    peer.advance(33)
    peer.feed(Stop())
    assert peer.last_request("REGISTER").expires == 0


def test_what_was_never_bound_is_not_taken_back() -> None:
    peer = started()
    peer.answer(peer.last_request("REGISTER"), 500)
    peer.feed(Stop())
    assert peer.titles() == ["REGISTER"]
    assert peer.agent.settled


def test_a_connection_to_a_former_address_of_the_registrar_is_missed_too() -> None:
    peer = Scripted(trunk(TrunkAuth.REGISTER, transport=Transport.TCP), transport=Transport.TCP)
    peer.start()
    grant(peer, 600)
    flow = Flow(transport=Transport.TCP, host=PEER, port=5060, connection=1)
    peer.feed(TrunkResolved(trunk=TRUNK, servers=server_at(("192.0.2.77",), 5060, Transport.UDP)))
    assert peer.agent.is_next_hop(flow)
    peer.feed(ConnectionClosed(flow=flow))
    assert next_attempt_s(peer) <= 1
    assert peer.sent[-1][1].host == "192.0.2.77"


# What the registrar says beside the grant.


def routes(request: Request) -> list[str]:
    return request.headers.get_all("Route")


def test_requests_take_the_route_that_the_registrar_names() -> None:
    peer = started(options_interval_s=30)
    peer.answer(peer.last_request("OPTIONS"), 200)
    contact = str(peer.last_request("REGISTER").contacts[0].uri)
    service = "<sip:orig@scscf.example;lr>, <sip:strict.example>, <sip:b.example;lr>"
    peer.answer(peer.last_request("REGISTER"), 200, Contact=f"<{contact}>;expires=60", Service_Route=service)
    peer.call()
    expected = ["<sip:orig@scscf.example;lr>", "<sip:b.example;lr>"]
    assert routes(peer.last_request("INVITE")) == expected
    assert peer.sent[-1][1].host == PEER
    peer.advance(31)
    assert routes(peer.last_request("OPTIONS")) == expected
    next_attempt_s(peer)
    assert routes(peer.last_request("REGISTER")) == []
    grant(peer, 600)
    peer.call("again")
    assert routes(peer.last_request("INVITE")) == []


def test_the_proxy_in_front_comes_first_and_only_once() -> None:
    peer = started(outbound_proxy=True, domain="ims.example")
    contact = str(peer.last_request("REGISTER").contacts[0].uri)
    peer.answer(
        peer.last_request("REGISTER"),
        200,
        Contact=f"<{contact}>;expires=600",
        Service_Route=f"<sip:{PEER};lr>, <sip:scscf.example;lr>",
    )
    peer.call()
    assert routes(peer.last_request("REGISTER")) == [f"<sip:{PEER};lr>"]
    assert routes(peer.last_request("INVITE")) == [f"<sip:{PEER};lr>", "<sip:scscf.example;lr>"]


@pytest.mark.parametrize("service", ["<", "<sip:a;lr>" + ", <sip:a;lr>" * 500, "<tel:+1>", "x" * 8000])
def test_a_route_that_cannot_be_read_does_not_cost_the_registration(service: str) -> None:
    peer = started()
    contact = str(peer.last_request("REGISTER").contacts[0].uri)
    peer.answer(
        peer.last_request("REGISTER"),
        200,
        Contact=f"<{contact}>;expires=600",
        Service_Route=service,
        P_Associated_URI=service,
    )
    assert peer.agent.trunk_up(TRUNK)
    peer.call()
    assert len(routes(peer.last_request("INVITE"))) <= 8


def test_only_our_own_contact_counts_among_those_of_other_devices() -> None:
    peer = started()
    request = peer.last_request("REGISTER")
    ours = request.contacts[0].uri
    assert isinstance(ours, SipUri)
    line = ours.params["line"]
    theirs = f"<sip:alice@{US}:5060;line=another>;expires=3600, <sip:alice@198.51.100.9:1024;line={line}>;expires=100"
    peer.answer(request, 200, Contact=theirs)
    assert 50 <= next_attempt_s(peer) <= 90


def test_a_device_registers_under_an_id_of_its_own_until_it_is_refused() -> None:
    urn = "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
    peer = started(instance=urn)
    request = peer.last_request("REGISTER")
    assert request.contacts[0].params["reg-id"] == "1"
    assert request.contacts[0].params["+sip.instance"] == f'"<{urn}>"'
    assert request.headers.get("Supported") == "path, outbound"
    peer.answer(request, 439)
    request = peer.last_request("REGISTER")
    assert "+sip.instance" not in request.contacts[0].params
    assert request.headers.get("Supported") == "path"
    grant(peer, 600)
    assert peer.agent.trunk_up(TRUNK)


def test_a_redirected_registration_is_not_followed() -> None:
    peer = started()
    peer.answer(peer.last_request("REGISTER"), 302, Contact="<sip:elsewhere.example>")
    assert peer.titles() == ["REGISTER"]
    assert not peer.agent.trunk_up(TRUNK)


def test_challenges_of_a_proxy_and_of_the_registrar_are_answered_at_once() -> None:
    peer = started(realm="")
    challenge = 'Digest realm="lab", nonce="{}", qop="auth", algorithm={}'
    peer.answer(
        peer.last_request("REGISTER"),
        401,
        WWW_Authenticate=f"{challenge.format('a', 'SHA-256')}, {challenge.format('b', 'MD5')}",
        Proxy_Authenticate=challenge.format("c", "MD5"),
    )
    again = peer.last_request("REGISTER")
    assert "algorithm=SHA-256" in (again.headers.get("Authorization") or "")
    assert 'nonce="c"' in (again.headers.get("Proxy-Authorization") or "")


# OPTIONS.


def test_a_trunk_is_asked_at_its_interval() -> None:
    peer = Scripted(trunk(options_interval_s=30))
    peer.start()
    for _ in range(10):
        peer.answer(peer.last_request("OPTIONS"), 200)
        peer.advance(15)
    questions = {message.call_id for message, _ in peer.sent}
    assert 5 <= len(questions) <= 6


def good_answer(peer: Scripted, status: int = 404) -> None:
    """The next question is answered, with whatever comes from a living server."""
    before = peer.last_request("OPTIONS").call_id
    while peer.last_request("OPTIONS").call_id == before:
        peer.advance(0.5)
    peer.answer(peer.last_request("OPTIONS"), status)


def test_two_questions_without_answer_take_the_trunk_down_and_three_answers_bring_it_up() -> None:
    peer = Scripted(trunk(options_interval_s=60))
    peer.start()
    assert peer.agent.trunk_up(TRUNK)
    peer.advance(50)
    assert peer.agent.trunk_up(TRUNK)
    peer.advance(60)
    assert not peer.agent.trunk_up(TRUNK)
    began = peer.now
    for _ in range(3):
        assert not peer.agent.trunk_up(TRUNK)
        good_answer(peer)
    assert peer.agent.trunk_up(TRUNK)
    assert peer.now - began < 60


def test_answers_that_come_and_go_do_not_bring_it_up() -> None:
    peer = Scripted(trunk(options_interval_s=5))
    peer.start()
    peer.advance(12)
    for _ in range(5):
        good_answer(peer)
        good_answer(peer)
        good_answer(peer, status=503)
    assert not peer.agent.trunk_up(TRUNK)


def test_how_many_is_a_setting() -> None:
    peer = Scripted(trunk(options_interval_s=5, options_misses=4, options_recoveries=1))
    peer.start()
    peer.advance(16)
    assert peer.agent.trunk_up(TRUNK)
    peer.advance(5)
    assert not peer.agent.trunk_up(TRUNK)
    good_answer(peer)
    assert peer.agent.trunk_up(TRUNK)


def test_an_overloaded_trunk_is_a_trunk_that_is_not_there() -> None:
    peer = Scripted(trunk(options_interval_s=10))
    peer.start()
    for _ in range(2):
        peer.answer(peer.last_request("OPTIONS"), 503)
        peer.advance(10)
    assert not peer.agent.trunk_up(TRUNK)


def test_a_trunk_without_an_address_is_out_of_service_until_it_has_one() -> None:
    peer = Scripted(trunk(options_interval_s=30))
    state = peer.agent._context.trunks.get(TRUNK)
    assert state is not None
    state.servers = ()
    peer.start()
    assert not peer.agent.trunk_up(TRUNK)
    peer.feed(TrunkResolved(trunk=TRUNK, servers=server_at((PEER,), 5060, Transport.UDP)))
    assert peer.agent.trunk_up(TRUNK)
    assert peer.titles() == ["OPTIONS"]


def two_servers() -> Scripted:
    peer = Scripted(trunk(options_interval_s=5))
    peer.feed(TrunkResolved(trunk=TRUNK, servers=server_at((PEER, "192.0.2.3"), 5060, Transport.UDP)))
    peer.start()
    return peer


def test_a_dead_server_is_skipped_and_the_trunk_is_down_when_all_are() -> None:
    peer = two_servers()
    assert [flow.host for _, flow in peer.sent] == [PEER, "192.0.2.3"]
    for _ in range(20):
        peer.advance(1)
        for message, flow in peer.sent:
            if flow.host != PEER and message.method == "OPTIONS":  # type: ignore[union-attr]
                peer.answer(message, 200)  # type: ignore[arg-type]
        peer.sent.clear()
    assert peer.agent.trunk_up(TRUNK)
    peer.call()
    assert peer.sent[-1][1].host == "192.0.2.3"
    peer.advance(20)
    assert not peer.agent.trunk_up(TRUNK)


def test_a_server_that_the_name_has_no_more_is_not_asked_and_does_not_count() -> None:
    peer = two_servers()
    peer.advance(12)
    assert not peer.agent.trunk_up(TRUNK)
    peer.feed(TrunkResolved(trunk=TRUNK, servers=server_at(("192.0.2.9",), 5060, Transport.UDP)))
    assert peer.agent.trunk_up(TRUNK)
    peer.sent.clear()
    peer.advance(4)
    assert {flow.host for _, flow in peer.sent} == {"192.0.2.9"}
