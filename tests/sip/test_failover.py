"""A trunk with several servers, some of them dead, refusing, busy or asleep (RFC 3263 §4.3), over an emulated wire."""

from collections.abc import Callable

import pytest

from bridge.core.ids import DialogKey
from bridge.sip.actions import Address, LocalAddress, TrunkResolved, Unreachable
from bridge.sip.events import CallAnswered, CallEvent, CallFailed, CallProgress, IncomingCall, SipEvent
from bridge.sip.failover import LAST_TRUNK_SILENCES, PENALTY_S
from bridge.sip.settings import Transport, TrunkAuth
from bridge.sip.targets import server_at
from bridge.sip.usage_commands import AcceptAsked, CancelAsked, HangUpAsked, RejectAsked, RingAsked
from tests.sip.scripted_peer import PEER, Scripted, trunk
from tests.sip.test_wire import FAULTS, QUIET_S, Answering, Fault, assert_nothing_left, on_answer
from tests.sip.wire import SDP, TRUNK, Node, Wire, fleet

FAILOVER_S = 4.0


def refuse(node: Node, status: int, *, ring: bool = False, **more: str) -> None:
    """Answer every call with a status."""

    def handle(event: SipEvent) -> None:
        if isinstance(event, IncomingCall):
            if ring:
                node.steer(event.dialog, RingAsked(status=180, sdp=None))
            node.steer(event.dialog, RejectAsked(status=status))

    node.on_event = handle


def answered(wire: Wire, caller: Node, servers: list[Node], *, within_s: float) -> None:
    """The last server answers, and the caller hangs up five seconds later."""
    servers[-1].on_event = Answering(node=servers[-1], answer_after_s=0.1)
    on_answer(caller, lambda dialog: wire.later(5, lambda: caller.steer(dialog, HangUpAsked(q850=16))))
    caller.call()
    wire.run(within_s)
    wire.run(QUIET_S)
    assert caller.kinds().count("CallAnswered") == 1
    assert "CallFailed" not in caller.kinds()
    assert servers[-1].kinds()[-1] == "CallEnded"


def first_refuses_connections(wire: Wire, caller: Node, servers: list[Node]) -> None:
    wire.refusing.add(servers[0].host)
    answered(wire, caller, servers, within_s=1)


def first_is_silent(wire: Wire, caller: Node, servers: list[Node]) -> None:
    wire.disconnect(servers[0])
    answered(wire, caller, servers, within_s=FAILOVER_S + 1)


def first_is_unavailable(wire: Wire, caller: Node, servers: list[Node]) -> None:
    refuse(servers[0], 503)
    answered(wire, caller, servers, within_s=1)


def first_rings_late(wire: Wire, caller: Node, servers: list[Node]) -> None:
    wire.slow[servers[0].host] = FAILOVER_S + 1
    servers[0].on_event = Answering(node=servers[0], answer_after_s=None)
    answered(wire, caller, servers, within_s=FAILOVER_S + 1)


def first_answers_late(wire: Wire, caller: Node, servers: list[Node]) -> None:
    def answer(event: SipEvent) -> None:
        if isinstance(event, IncomingCall):
            servers[0].steer(event.dialog, AcceptAsked(sdp=SDP))

    wire.slow[servers[0].host] = FAILOVER_S + 1
    servers[0].on_event = answer
    answered(wire, caller, servers, within_s=FAILOVER_S + 1)


def given_up_while_the_second_rings(wire: Wire, caller: Node, servers: list[Node]) -> None:
    refuse(servers[0], 503)
    servers[1].on_event = Answering(node=servers[1], answer_after_s=None)
    dialog = caller.call()
    wire.later(3, lambda: caller.steer(dialog, CancelAsked()))
    wire.run(QUIET_S)
    assert isinstance(caller.events[-1], CallFailed)
    assert caller.events[-1].status == 487
    assert servers[1].kinds() == ["IncomingCall", "CallCancelled"]


FLOWS: tuple[Callable[[Wire, Node, list[Node]], None], ...] = (
    first_refuses_connections,
    first_is_silent,
    first_is_unavailable,
)


@pytest.mark.parametrize(("flow", "reason"), list(zip(FLOWS, ("transport", "silent", "unavailable"), strict=True)))
def test_the_next_server_takes_the_call(flow: Callable[[Wire, Node, list[Node]], None], reason: str) -> None:
    wire, caller, servers = fleet(2)
    flow(wire, caller, servers)
    assert caller.counted("sip_failovers_total", trunk=TRUNK, reason=reason) == 1
    assert [note.fields["reason"] for note in caller.notes if note.event == "trunk_target_failed"] == [reason]
    assert servers[0].kinds().count("IncomingCall") == (1 if reason == "unavailable" else 0)
    assert caller.counted("sip_unexpected_events_total") == 0
    assert_nothing_left(caller, *servers)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("flow", [*FLOWS, first_rings_late, first_answers_late, given_up_while_the_second_rings])
def test_it_does_whatever_one_message_goes_astray(flow: Callable[[Wire, Node, list[Node]], None], fault: str) -> None:
    wire, caller, servers = fleet(2)
    flow(wire, caller, servers)
    for number in range(len(wire.log)):
        wire, caller, servers = fleet(2, wire=Wire(tamper=Fault(number=number, delays=FAULTS[fault])))
        flow(wire, caller, servers)
        assert_nothing_left(caller, *servers)


@pytest.mark.parametrize("flow", FLOWS)
def test_it_does_so_over_streams(flow: Callable[[Wire, Node, list[Node]], None]) -> None:
    wire, caller, servers = fleet(2, transport=Transport.TCP)
    flow(wire, caller, servers)
    assert_nothing_left(caller, *servers)


def test_each_attempt_is_a_new_transaction_of_the_same_call() -> None:
    wire, caller, servers = fleet(3)
    refuse(servers[0], 503)
    refuse(servers[1], 503)
    answered(wire, caller, servers, within_s=1)
    invites = [sent.message for sent in wire.log if sent.title == "INVITE"]
    assert len({invite.via.branch for invite in invites}) == 3
    assert len({(invite.call_id, invite.from_.tag, invite.cseq.number) for invite in invites}) == 1


def test_a_server_that_rang_is_not_left_for_another() -> None:
    wire, caller, servers = fleet(2)
    refuse(servers[0], 503, ring=True)
    caller.call()
    wire.run(QUIET_S)
    assert isinstance(caller.events[-1], CallFailed)
    assert caller.events[-1].status == 503
    assert servers[1].events == []


@pytest.mark.parametrize("status", [302, 403, 404, 408, 480, 486, 500, 504, 600, 603])
def test_no_other_answer_is_a_reason_to_go_on(status: int) -> None:
    wire, caller, servers = fleet(2)
    refuse(servers[0], status)
    caller.call()
    wire.run(QUIET_S)
    assert isinstance(caller.events[-1], CallFailed)
    assert caller.events[-1].status == status
    assert servers[1].events == []


def test_a_server_that_says_100_is_waited_for() -> None:
    wire, caller, servers = fleet(2)
    caller.call()
    wire.run(25)
    assert servers[0].kinds() == ["IncomingCall"]
    assert servers[1].events == []
    assert caller.events == []


def test_when_all_fail_the_last_failure_counts() -> None:
    wire, caller, servers = fleet(3)
    for server in servers:
        refuse(server, 503)
    dialog = caller.call()
    wire.run(QUIET_S)
    assert caller.events == [CallFailed(dialog=dialog, status=503, reason_phrase="Service Unavailable")]
    assert [server.kinds() for server in servers] == [["IncomingCall"]] * 3
    assert_nothing_left(caller, *servers)


def test_the_last_server_gets_the_whole_of_timer_b() -> None:
    wire, caller, servers = fleet(2)
    for server in servers:
        wire.disconnect(server)
    dialog = caller.call()
    wire.run(FAILOVER_S + 31)
    assert caller.events == []
    wire.run(2)
    assert caller.events == [CallFailed(dialog=dialog, status=408, local=True)]
    wire.run(QUIET_S)
    assert_nothing_left(caller)


def test_a_server_that_failed_is_avoided_for_a_while() -> None:
    wire, caller, servers = fleet(2)
    refuse(servers[0], 503)
    refuse(servers[1], 486)
    caller.call("one")
    wire.run(1)
    caller.call("two")
    wire.run(PENALTY_S - 2)
    assert [len(server.events) for server in servers] == [1, 2]
    wire.run(2)
    caller.call("three")
    wire.run(1)
    assert [len(server.events) for server in servers] == [2, 3]


def test_a_server_that_failed_is_tried_when_the_others_fail_too() -> None:
    wire, caller, servers = fleet(2)
    refuse(servers[0], 503)
    refuse(servers[1], 486)
    caller.call("one")
    wire.run(1)
    refuse(servers[0], 486)
    refuse(servers[1], 503)
    caller.call("two")
    wire.run(1)
    assert [event.status for event in caller.events if isinstance(event, CallFailed)] == [486, 486]


def test_a_server_that_answers_again_is_forgiven() -> None:
    wire, caller, servers = fleet(2)
    refuse(servers[0], 503)
    refuse(servers[1], 486)
    caller.call("one")
    wire.run(1)
    refuse(servers[0], 486)
    refuse(servers[1], 503)
    caller.call("two")
    wire.run(1)
    state = caller.agent._context.trunks.get(TRUNK)
    assert state is not None
    assert [target.host for target in state.avoided] == [servers[1].host]


def test_nothing_more_is_sent_to_a_server_that_was_given_up() -> None:
    wire, caller, servers = fleet(2)
    first_is_silent(wire, caller, servers)
    times = [sent.at for sent in wire.log if sent.to == servers[0].host]
    assert len(times) > 1
    assert max(times) <= FAILOVER_S


def silent_trunk(servers_up_after_s: float) -> tuple[Wire, Node, list[Node]]:
    """A call to a trunk of one server that hears nothing at first, while another trunk could take the call."""
    wire, caller, servers = fleet(1)
    wire.slow[servers[0].host] = servers_up_after_s
    caller.call(impatient=True)
    return wire, caller, servers


def failures(caller: Node) -> list[tuple[int, bool]]:
    return [(event.status, event.local) for event in caller.events if isinstance(event, CallFailed)]


def test_a_trunk_is_given_up_as_soon_as_a_server_where_another_trunk_can_take_the_call() -> None:
    wire, caller, servers = silent_trunk(3600)
    wire.run(FAILOVER_S - 0.1)
    assert failures(caller) == []
    wire.run(0.2)
    assert failures(caller) == [(408, True)]
    wire.run(QUIET_S)
    assert failures(caller) == [(408, True)]
    assert max(sent.at for sent in wire.log if sent.to == servers[0].host) <= FAILOVER_S
    assert_nothing_left(caller)


def test_an_urgent_call_waits_longer_for_the_last_trunk_but_not_for_its_other_servers() -> None:
    wire, caller, servers = fleet(2)
    for server in servers:
        wire.disconnect(server)
    caller.call(urgent=True)
    wire.run(FAILOVER_S * (1 + LAST_TRUNK_SILENCES) - 0.1)
    assert {sent.to for sent in wire.log if sent.at <= FAILOVER_S + 0.1} >= {server.host for server in servers}
    assert failures(caller) == []
    wire.run(0.2)
    assert failures(caller) == [(408, True)]


def test_an_urgent_call_does_not_wait_longer_where_another_trunk_can_take_it() -> None:
    wire, caller, servers = fleet(1)
    wire.disconnect(servers[0])
    caller.call(impatient=True, urgent=True)
    wire.run(FAILOVER_S + 0.1)
    assert failures(caller) == [(408, True)]


def test_a_last_trunk_that_wakes_late_takes_an_urgent_call() -> None:
    wire, caller, servers = fleet(1)
    wire.slow[servers[0].host] = FAILOVER_S + 1
    servers[0].on_event = Answering(node=servers[0], answer_after_s=0.1)
    caller.call(urgent=True)
    wire.run(FAILOVER_S * LAST_TRUNK_SILENCES + 1)
    assert caller.kinds().count("CallAnswered") == 1


def test_an_urgent_call_tries_bad_servers_of_the_last_trunk_as_well() -> None:
    wire, caller, servers = fleet(2)
    refuse(servers[1], 486)
    wire.disconnect(servers[0])
    caller.call("one")
    wire.run(FAILOVER_S + 1)
    wire.disconnect(servers[1])
    wire.add(servers[0])
    servers[0].on_event = Answering(node=servers[0], answer_after_s=0.1)
    caller.call("two", urgent=True)
    wire.run(FAILOVER_S + 1)
    assert caller.kinds().count("CallAnswered") == 1


def test_a_trunk_that_says_anything_is_waited_for() -> None:
    wire, caller, servers = fleet(1)
    servers[0].on_event = Answering(node=servers[0], answer_after_s=30)
    caller.call(impatient=True)
    wire.run(31)
    assert caller.kinds().count("CallAnswered") == 1


def test_a_trunk_that_wakes_up_after_it_was_given_up_rings_nobody() -> None:
    wire, caller, servers = silent_trunk(FAILOVER_S + 1)
    servers[0].on_event = Answering(node=servers[0], answer_after_s=None)
    wire.run(QUIET_S)
    assert "CallCancelled" in servers[0].kinds()
    assert_nothing_left(caller, *servers)


def test_a_trunk_that_answers_after_it_was_given_up_is_hung_up_on() -> None:
    wire, caller, servers = silent_trunk(FAILOVER_S + 1)

    def answer(event: SipEvent) -> None:
        if isinstance(event, IncomingCall):
            servers[0].steer(event.dialog, AcceptAsked(sdp=SDP))

    servers[0].on_event = answer
    wire.run(QUIET_S)
    assert servers[0].kinds()[-1] == "CallEnded"
    assert "CallAnswered" not in caller.kinds()
    assert_nothing_left(caller, *servers)


def test_all_servers_worth_a_try_come_before_another_trunk() -> None:
    wire, caller, servers = fleet(2)
    wire.disconnect(servers[0])
    servers[1].on_event = Answering(node=servers[1], answer_after_s=0.1)
    caller.call(impatient=True)
    wire.run(FAILOVER_S + 1)
    assert caller.kinds().count("CallAnswered") == 1


def test_a_good_server_is_not_hurried_for_the_sake_of_a_bad_one() -> None:
    wire, caller, servers = fleet(2)
    refuse(servers[0], 503)
    refuse(servers[1], 486)
    caller.call("one")
    wire.run(1)
    wire.disconnect(servers[1])
    caller.call("two")
    wire.run(FAILOVER_S + 1)
    assert servers[0].kinds().count("IncomingCall") == 1


@pytest.mark.parametrize(("retry_after", "avoided_s"), [("7", 7), ("7;duration=60", 7), ("99999", 600), ("x", 32)])
def test_retry_after_says_how_long(retry_after: str, avoided_s: float) -> None:
    peer = Scripted()
    peer.call()
    peer.answer(peer.last_request("INVITE"), 503, Retry_After=retry_after)
    state = peer.agent._context.trunks.get(TRUNK)
    assert state is not None
    assert list(state.avoided.values()) == [peer.now + avoided_s]


def test_credentials_are_not_taken_to_another_server() -> None:
    peer = Scripted(trunk(TrunkAuth.DIGEST))
    addresses = (PEER, "192.0.2.3")
    peer.feed(TrunkResolved(trunk=TRUNK, servers=server_at(addresses, 5060, Transport.UDP)))
    dialog = peer.call()
    peer.challenge(peer.last_request("INVITE"), nonce="first")
    peer.answer(peer.last_request("INVITE"), 503)
    moved, flow = peer.sent[-1]
    assert flow.host == addresses[1]
    assert "Proxy-Authorization" not in moved.headers
    peer.challenge(peer.last_request("INVITE"), nonce="second")
    assert 'nonce="second"' in (peer.last_request("INVITE").headers.get("Proxy-Authorization") or "")
    peer.answer(peer.last_request("INVITE"), 200, sdp=SDP)
    assert peer.last_event() == CallAnswered(dialog=dialog, sdp=SDP)


def test_a_contact_names_the_address_that_the_server_can_reach() -> None:
    ours = {4: "192.0.2.1", 6: "2001:db8::1"}
    peer = Scripted()
    peer.agent._context.layer._locals = tuple(
        LocalAddress(transport=Transport.UDP, host=host, port=5060, version=version) for version, host in ours.items()
    )
    peer.feed(TrunkResolved(trunk=TRUNK, servers=server_at(("2001:db8::2", PEER), 5060, Transport.UDP)))
    peer.call()
    assert peer.last_request("INVITE").contacts[0].uri.host_port == "[2001:db8::1]:5060"  # type: ignore[union-attr]
    peer.feed(Unreachable(transport=Transport.UDP, address=Address("2001:db8::2", 5060)))
    assert peer.last_request("INVITE").contacts[0].uri.host_port == "192.0.2.1:5060"  # type: ignore[union-attr]


def test_a_registration_goes_to_the_next_server_and_calls_follow_it() -> None:
    peer = Scripted(trunk(TrunkAuth.REGISTER))
    peer.feed(TrunkResolved(trunk=TRUNK, servers=server_at((PEER, "192.0.2.3"), 5060, Transport.UDP)))
    peer.start()
    first = peer.last_request("REGISTER")
    peer.advance(FAILOVER_S)
    second = peer.last_request("REGISTER")
    assert peer.sent[-1][1].host == "192.0.2.3"
    assert (second.call_id, second.cseq.number) == (first.call_id, first.cseq.number + 1)
    peer.answer(second, 200, Contact=f"<{second.contacts[0].uri}>;expires=600")
    assert peer.agent.trunk_up(TRUNK)
    assert peer.counted("registrations_total", outcome="failed") == 0
    peer.advance(PENALTY_S)
    peer.call()
    assert peer.sent[-1][1].host == "192.0.2.3"


def test_a_call_that_was_given_up_goes_nowhere_else() -> None:
    wire, caller, servers = fleet(2)
    wire.disconnect(servers[0])
    dialog = caller.call()
    wire.later(1, lambda: caller.steer(dialog, CancelAsked()))
    wire.run(QUIET_S)
    assert isinstance(caller.events[-1], CallFailed)
    assert servers[1].events == []
    assert_nothing_left(caller)


def test_a_cancelled_call_stays_cancelled_at_a_server_that_turns_it_away() -> None:
    wire, caller, servers = fleet(2)
    servers[0].on_event = lambda event: None
    dialog = caller.call()
    wire.later(1, lambda: caller.steer(dialog, CancelAsked()))
    wire.later(1.005, lambda: servers[0].steer(servers[0].incoming.dialog, RejectAsked(status=503)))
    wire.run(QUIET_S)
    assert isinstance(caller.events[-1], CallFailed)
    assert servers[1].events == []
    assert_nothing_left(caller, *servers)


def test_a_call_given_up_on_the_way_to_the_next_server_does_not_ring_there() -> None:
    wire, caller, servers = fleet(2)
    refuse(servers[0], 503)
    wire.slow[servers[1].host] = 3
    servers[1].on_event = Answering(node=servers[1], answer_after_s=None)
    dialog = caller.call()
    wire.later(1, lambda: caller.steer(dialog, CancelAsked()))
    wire.run(QUIET_S)
    assert servers[1].kinds() == ["IncomingCall", "CallCancelled"]
    assert isinstance(caller.events[-1], CallFailed)
    assert_nothing_left(caller, *servers)


def test_a_server_that_wakes_up_late_is_told_to_stop_ringing() -> None:
    wire, caller, servers = fleet(2)
    wire.slow[servers[0].host] = FAILOVER_S + 1
    servers[0].on_event = Answering(node=servers[0], answer_after_s=None)
    answered(wire, caller, servers, within_s=20)
    assert servers[0].kinds() == ["IncomingCall", "CallCancelled"]
    assert caller.kinds().count("CallProgress") == 1
    assert_nothing_left(caller, *servers)


@pytest.mark.parametrize("status", [302, 401, 486, 503])
def test_a_server_that_refuses_late_has_nothing_left_to_cancel(status: int) -> None:
    peer = Scripted(trunk(host="trunk.example.org"))
    peer.feed(TrunkResolved(trunk=TRUNK, servers=server_at((PEER, "192.0.2.3"), 5060, Transport.UDP)))
    peer.call()
    first = peer.last_request("INVITE")
    peer.advance(FAILOVER_S + 1)
    peer.sent.clear()
    peer.answer(first, status)
    assert [(flow.host, title) for (_, flow), title in zip(peer.sent, peer.titles(), strict=True)] == [(PEER, "ACK")]


def test_a_server_that_answers_late_is_hung_up() -> None:
    wire, caller, servers = fleet(2)
    wire.slow[servers[0].host] = FAILOVER_S + 1

    def answer(event: SipEvent) -> None:
        if isinstance(event, IncomingCall):
            servers[0].steer(event.dialog, AcceptAsked(sdp=SDP))

    servers[0].on_event = answer
    answered(wire, caller, servers, within_s=20)
    assert servers[0].kinds() == ["IncomingCall", "CallConfirmed", "CallEnded"]
    assert_nothing_left(caller, *servers)


def test_a_dialog_stays_at_the_server_that_answered() -> None:
    wire, caller, servers = fleet(2)
    refuse(servers[0], 503)
    answered(wire, caller, servers, within_s=1)
    byes = [sent for sent in wire.log if sent.title == "BYE"]
    assert [sent.to for sent in byes] == [servers[1].host]


def test_a_dialog_that_goes_by_the_trunk_s_name_stays_there_too() -> None:
    peer = Scripted(trunk(host="trunk.example.org"))
    peer.feed(TrunkResolved(trunk=TRUNK, servers=server_at((PEER, "192.0.2.3"), 5060, Transport.UDP)))
    dialog = peer.call()
    peer.feed(Unreachable(transport=Transport.UDP, address=Address(PEER, 5060)))
    peer.answer(peer.last_request("INVITE"), 200, sdp=SDP, Contact="<sip:peer@trunk.example.org>")
    peer.steer(dialog, HangUpAsked())
    assert [flow.host for message, flow in peer.sent[-2:]] == ["192.0.2.3"] * 2
    assert peer.titles()[-2:] == ["ACK", "BYE"]


def answers(node: Node, kind: type[SipEvent]) -> list[SipEvent]:
    return [event for event in node.events if isinstance(event, kind)]


def test_nothing_is_told_of_a_server_that_was_passed_over() -> None:
    wire, caller, servers = fleet(3)
    wire.refusing.add(servers[0].host)
    refuse(servers[1], 503)
    answered(wire, caller, servers, within_s=1)
    dialogs: set[DialogKey] = {event.dialog for event in caller.events if isinstance(event, CallEvent)}
    assert len(dialogs) == 1
    assert len(answers(caller, CallProgress)) == len(answers(caller, CallAnswered)) == 1
