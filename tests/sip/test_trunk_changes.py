"""Trunks come, go and become others while calls go on."""

from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest

from bridge.core.ids import DialogKey, TrunkName
from bridge.sip.actions import TrunkResolved
from bridge.sip.events import CallEnded, CallFailed, IncomingCall, TrunkLeft
from bridge.sip.inputs import Start, Stop
from bridge.sip.registration import MAX_REFUSALS
from bridge.sip.renewal import RETRY_BASE_S
from bridge.sip.settings import TlsFiles, Transport, Trunk, TrunkAuth, TrunkTls
from bridge.sip.targets import server_at
from bridge.sip.trunk_care import LINGER_S, LOOK_S
from bridge.sip.trunk_changes import ChangeTrunks, is_another, takes_binding
from bridge.sip.usage_commands import HangUpAsked
from tests.sip.scripted_peer import PEER, SDP, TRUNK, Scripted, peer_request, trunk

OTHER = "192.0.2.77"


def change(peer: Scripted, *trunks: Trunk, emergency: tuple[str, ...] = ()) -> None:
    """Another configuration, whose new servers are found at once."""
    peer.feed(ChangeTrunks(trunks=trunks, emergency=frozenset(emergency)))
    for each in trunks:
        peer.feed(TrunkResolved(trunk=each.name, servers=server_at((each.host,), 5060, each.transport)))
    peer.feed(Start())


def registered(**settings: object) -> Scripted:
    """A trunk with which we are registered."""
    peer = Scripted(trunk(TrunkAuth.REGISTER, **settings))
    peer.start()
    grant(peer)
    peer.sent.clear()
    return peer


def grant(peer: Scripted) -> None:
    request = peer.last_request("REGISTER")
    peer.answer(request, 200, Contact=f"{request.headers.get('Contact')};expires=600")


def registers(peer: Scripted) -> list[tuple[str, str | None]]:
    """Where REGISTER requests have gone since, and for how long they ask."""
    return [(flow.host, m.headers.get("Expires")) for m, flow in peer.sent if m.cseq.method == "REGISTER"]


@pytest.mark.parametrize(
    ("changed", "another"),
    [
        ({"max_calls": 3, "headers": (("X-Account", "1"),), "texts": trunk().texts}, False),
        ({"host": OTHER}, True),
        ({"password": "new"}, True),
        ({"register_expires_s": 120}, True),
        ({"options_interval_s": 5.0}, True),
        ({"presence_of": ("201",)}, True),
    ],
)
def test_what_makes_another_trunk(changed: dict[str, object], another: bool) -> None:
    before = trunk(TrunkAuth.REGISTER)
    assert is_another(before, replace(before, **changed)) is another  # type: ignore[arg-type]


def test_a_new_trunk_registers_and_carries_calls() -> None:
    peer = Scripted(trunk())
    peer.start()
    added = replace(trunk(TrunkAuth.REGISTER, host=OTHER), name=TrunkName("other"))
    change(peer, trunk(), added)
    assert registers(peer) == [(OTHER, "600")]
    assert not peer.agent.trunk_up(added.name)


def test_a_new_trunk_does_not_fail_to_register_because_another_was_found_first() -> None:
    peer = Scripted(trunk())
    peer.start()
    slow = replace(trunk(TrunkAuth.REGISTER, host=OTHER), name=TrunkName("slow"))
    peer.feed(ChangeTrunks(trunks=(trunk(password="new"), slow), emergency=frozenset()))
    peer.feed(Start(trunk=TRUNK))
    assert "registrations_total" not in {count.name for count in peer.counts}
    peer.feed(TrunkResolved(trunk=slow.name, servers=server_at((OTHER,), 5060, slow.transport)))
    peer.feed(Start(trunk=slow.name))
    assert registers(peer) == [(OTHER, "600")]


def test_a_trunk_that_is_gone_is_left_and_takes_no_calls() -> None:
    peer = registered()
    change(peer)
    assert registers(peer) == [(PEER, "0")]
    assert not peer.agent.trunk_up(TRUNK)
    peer.call()
    assert isinstance(failed := peer.last_event(), CallFailed)
    assert failed.status == 503
    peer.receive(peer_request("INVITE", sdp=SDP))
    assert not any(isinstance(event, IncomingCall) for event in peer.events)


@pytest.mark.parametrize("status", [200, 408, 503])
def test_a_registration_that_is_under_way_is_answered_before_it_is_taken_back(status: int) -> None:
    peer = Scripted(trunk(TrunkAuth.REGISTER))
    peer.start()
    peer.sent.clear()
    change(peer)
    peer.advance(3.0)
    assert {expires for _, expires in registers(peer)} == {"600"}, "repeated, as over UDP it has to be"
    if status == 408:
        peer.advance(32.0)
    else:
        request = peer.last_request("REGISTER")
        peer.answer(request, status, Contact=f"{request.headers.get('Contact')};expires=600")
    assert registers(peer)[-1] == (PEER, "0")
    peer.sent.clear()
    peer.advance(3.0)
    assert {expires for _, expires in registers(peer)} <= {"0"}, "nothing undoes it"


def test_calls_of_a_trunk_that_is_gone_go_on_and_then_it_is_forgotten() -> None:
    peer = Scripted(trunk())
    dialog, _, tag = peer.accepted_call()
    change(peer)
    peer.advance(600)
    assert peer.agent.admits(PEER)
    assert [left.name for left in peer.agent.left_trunks] == [TRUNK]
    peer.receive(peer_request("BYE", cseq=2, to_tag=tag, branch="bye"))
    assert peer.titles() == ["200 BYE"]
    assert isinstance(ended := peer.last_event(), CallEnded)
    assert ended.dialog == dialog
    peer.advance(LINGER_S + 2 * LOOK_S)
    assert peer.last_event() == TrunkLeft(trunk=TRUNK)
    assert not peer.agent.admits(PEER)
    assert not peer.agent.left_trunks
    assert peer.agent.next_deadline() is None


def test_another_account_registers_anew_and_the_old_one_is_taken_back() -> None:
    peer = registered()
    change(peer, trunk(TrunkAuth.REGISTER, username="bob"))
    assert sorted(registers(peer)) == [(PEER, "0"), (PEER, "600")]
    grant(peer)
    assert peer.agent.trunk_up(TRUNK)


def test_a_call_of_before_is_carried_by_the_way_it_knows_while_new_ones_go_to_the_new_server() -> None:
    peer = Scripted(trunk())
    dialog = peer.answered_call()
    change(peer, trunk(host=OTHER))
    peer.call("new")
    assert peer.sent[-1][1].host == OTHER
    peer.feed(Stop())
    assert PEER in {flow.host for message, flow in peer.sent if message.cseq.method == "BYE"}
    assert dialog == DialogKey("call")


def test_a_registration_that_was_refused_for_good_is_tried_once_more_by_whoever_changes_anything() -> None:
    peer = Scripted(trunk(TrunkAuth.REGISTER))
    peer.start()
    for refusal in range(MAX_REFUSALS):
        peer.answer(peer.last_request("REGISTER"), 403)
        peer.advance(RETRY_BASE_S * 2**refusal + 1)
    peer.sent.clear()
    peer.advance(10_000)
    assert registers(peer) == []
    change(peer, trunk(TrunkAuth.REGISTER))
    assert registers(peer) == [(PEER, "600")]
    peer.answer(peer.last_request("REGISTER"), 403)
    peer.advance(10_000)
    assert registers(peer) == [(PEER, "600")]


@pytest.mark.parametrize("changed", [{"password": "new"}, {"presence_of": ("201",)}, {"keep_alive_s": 20.0}])
def test_a_binding_is_never_gone_where_the_new_registration_has_the_same_contact(changed: dict[str, object]) -> None:
    peer = registered()
    contact = peer.agent._context.trunks.get(TRUNK)
    assert contact is not None
    change(peer, trunk(TrunkAuth.REGISTER, **changed))
    assert registers(peer) == [(PEER, "600")]
    assert f"line={contact.line}" in str(peer.last_request("REGISTER").headers.get("Contact"))
    grant(peer)
    assert peer.agent.trunk_up(TRUNK)


def test_a_binding_that_was_to_be_replaced_is_taken_back_by_whoever_could_not() -> None:
    peer = registered()
    change(peer, trunk(TrunkAuth.REGISTER, password="wrong"))
    peer.answer(peer.last_request("REGISTER"), 403)
    peer.sent.clear()
    peer.feed(Stop())
    assert registers(peer) == [(PEER, "0")]


def test_a_binding_of_another_contact_is_replaced_by_its_instance_alone() -> None:
    peer = registered(instance="urn:uuid:1")
    change(peer, trunk(TrunkAuth.REGISTER, instance="urn:uuid:1", port=5062))
    assert registers(peer) == [(PEER, "600")]


def test_a_binding_by_address_alone_is_taken_back_where_nothing_would_replace_it() -> None:
    """The registrar, or a proxy on the way to it, knows no instances (RFC 5626 §11.6)."""
    peer = Scripted(trunk(TrunkAuth.REGISTER, instance="urn:uuid:1"))
    peer.start()
    peer.answer(peer.last_request("REGISTER"), 439)
    grant(peer)
    peer.sent.clear()
    change(peer, trunk(TrunkAuth.REGISTER, instance="urn:uuid:1", port=5062))
    assert registers(peer) == [(PEER, "0"), (PEER, "600")]


def test_only_the_same_account_takes_a_binding_over() -> None:
    before = trunk(TrunkAuth.REGISTER, instance="urn:uuid:1")
    assert takes_binding(before, replace(before, password="new"))
    assert takes_binding(before, replace(before, port=5062))
    assert not takes_binding(before, replace(before, username="bob"))
    assert not takes_binding(before, replace(before, host=OTHER))
    assert not takes_binding(before, replace(before, auth=TrunkAuth.DIGEST))
    assert takes_binding(replace(before, instance=""), before)
    assert not takes_binding(replace(before, instance=""), replace(before, instance="", port=5062))
    assert not takes_binding(trunk(), trunk())


def test_sources_that_are_taken_away_may_not_call_any_more() -> None:
    peer = Scripted(trunk(sources=(ip_network("198.51.100.0/24"),)))
    assert peer.agent.admits("198.51.100.9")
    change(peer, trunk())
    assert not peer.agent.admits("198.51.100.9")
    assert peer.agent.admits(PEER)


def test_an_emergency_number_that_is_new_is_never_limited() -> None:
    peer = Scripted(trunk(max_calls=1))
    peer.call("one")
    change(peer, trunk(max_calls=1), emergency=("112",))
    peer.sent.clear()
    peer.call("two", called="112")
    assert peer.titles() == ["INVITE"]


def test_calls_that_wait_for_their_turn_at_a_trunk_that_goes_may_try_another() -> None:
    peer = Scripted(trunk(max_calls_per_s=1))
    peer.call("one")
    peer.call("two")
    change(peer)
    failed = [event for event in peer.events if isinstance(event, CallFailed)]
    assert [(event.dialog, event.status) for event in failed] == [("two", 503)]


def test_a_connection_that_the_settings_of_before_made_is_kept_open_as_long_as_their_calls() -> None:
    secure = trunk(transport=Transport.TLS, tls=TrunkTls(ca_file=Path("before.pem")))
    peer = Scripted(secure, transport=Transport.TLS)
    peer.answered_call()
    peer.call("one")
    before = peer.sent[-1][1]
    change(peer, replace(secure, tls=TrunkTls(ca_file=Path("after.pem"))))
    peer.call("two")
    after = peer.sent[-1][1]
    assert (before.tls, after.tls) == (TlsFiles(ca_file=Path("before.pem")), TlsFiles(ca_file=Path("after.pem")))
    assert peer.agent.is_next_hop(before)
    peer.steer(DialogKey("call"), HangUpAsked())
    assert peer.sent[-1][1].tls == before.tls
    peer.advance(32 + LINGER_S + 2 * LOOK_S)
    assert TrunkLeft(trunk=TRUNK) in peer.events
    assert (peer.agent.is_next_hop(before), peer.agent.is_next_hop(after)) == (False, True)
