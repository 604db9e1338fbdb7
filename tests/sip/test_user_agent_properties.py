"""Whatever happens in whatever order: the user agent never raises, and nothing is left of calls that are over."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from bridge.core.ids import DialogKey
from bridge.sip.actions import TrunkResolved
from bridge.sip.errors import LocalSipError
from bridge.sip.inputs import Start, Stop
from bridge.sip.message import Request, Response
from bridge.sip.settings import Trunk, TrunkAuth
from bridge.sip.targets import server_at
from bridge.sip.trunk_changes import ChangeTrunks
from bridge.sip.usage_commands import (
    AcceptAsked,
    CancelAsked,
    HangUpAsked,
    RejectAsked,
    ReofferAsked,
    RingAsked,
    UsageCommand,
)
from tests.fuzz import sip_user_agent
from tests.sip.scripted_peer import PEER, SDP, STRANGER, Scripted, peer_request, trunk
from tests.sip.test_wire import QUIET_S, Answering, assert_nothing_left

from tests.sip.wire import LATENCY_S, SDP as WIRE_SDP, Sent, Wire, pair  # isort: skip

COMMANDS: tuple[UsageCommand, ...] = (
    RingAsked(status=183, sdp=SDP),
    AcceptAsked(sdp=SDP),
    AcceptAsked(sdp=None),
    RejectAsked(status=486, q850=17),
    CancelAsked(q850=16),
    HangUpAsked(q850=16),
    ReofferAsked(sdp=SDP),
)
METHODS = ("INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "UPDATE", "INFO", "REGISTER", "PRACK", "STRANGE")

Step = Callable[[Scripted], None]


def _request(
    method: str, cseq: int, branch: str, ours: bool, sdp: str | None, source: str, fields: tuple[tuple[str, str], ...]
) -> Step:
    def step(peer: Scripted) -> None:
        tags = [response.to.tag for response, _ in peer.sent if not isinstance(response, Request) and response.to.tag]
        to_tag = (tags[-1] or "") if ours and tags else ""
        rseqs = [response.rseq for response, _ in peer.sent if isinstance(response, Response) and response.rseq]
        more = (*fields, ("RAck", f"{rseqs[-1]} 1 INVITE")) if rseqs and method == "PRACK" else fields
        request = peer_request(method, cseq=cseq, branch=branch, to_tag=to_tag, sdp=sdp, fields=more)
        peer.receive(request, source=source)

    return step


def _response(status: int, tag: str, back: int, sdp: str | None, field: tuple[str, str]) -> Step:
    def step(peer: Scripted) -> None:
        requests = [message for message, _ in peer.sent if isinstance(message, Request) and message.method != "ACK"]
        if requests:
            request = requests[-1 - back % len(requests)]
            peer.answer(request, status, tag=tag, sdp=sdp, **{"RSeq": str(back + 1), **dict([field])})

    return step


def _command(command: UsageCommand, which: int) -> Step:
    def step(peer: Scripted) -> None:
        usages = [*peer.agent._context.usages, DialogKey("gone")]
        peer.steer(usages[which % len(usages)], command)

    return step


def _call(key: str, sdp: str | None) -> Step:
    def step(peer: Scripted) -> None:
        if DialogKey(key) not in peer.agent._context.usages:
            peer.call(key, sdp=sdp)

    return step


def _change(trunks: tuple[Trunk, ...]) -> Step:
    def step(peer: Scripted) -> None:
        peer.feed(ChangeTrunks(trunks=trunks, emergency=frozenset({"112"})))
        for each in trunks:
            peer.feed(TrunkResolved(trunk=each.name, servers=server_at((each.host,), 5060, each.transport)))
        peer.feed(Start())

    return step


FIELDS = st.sampled_from(
    [
        ("Contact", f"<sip:peer@{PEER}:5060>"),
        ("Contact", "<sips:peer@192.0.2.7>"),
        ("Contact", "nonsense<"),
        ("Record_Route", "<sip:192.0.2.9>, <sip:192.0.2.8;lr>"),
        ("Record_Route", "<tel:+15550100>"),
        ("Proxy_Authenticate", 'Digest realm="lab", nonce="n", stale=true'),
        ("WWW_Authenticate", 'Digest realm="lab", nonce="n", algorithm=SHA-256, qop="auth"'),
        ("WWW_Authenticate", "Digest nonsense"),
        ("Reason", "Q.850;cause=999"),
        ("Retry_After", "nonsense"),
        ("Require", "100rel"),
        ("Allow", "INVITE, UPDATE"),
    ]
)
BODIES = st.sampled_from([None, SDP])
STEPS = st.one_of(
    st.builds(
        _request,
        st.sampled_from(METHODS),
        st.integers(1, 6),
        st.sampled_from("abcdef"),
        st.booleans(),
        BODIES,
        st.sampled_from([PEER, PEER, STRANGER]),
        st.sampled_from(
            [
                (),
                (("Record-Route", "<tel:+1>"),),
                (("Record-Route", "<sip:route.example.org;lr>"),),
                (("Supported", "100rel"), ("Allow", "UPDATE")),
            ]
        ),
    ),
    st.builds(
        _response,
        st.sampled_from([100, 180, 183, 200, 202, 302, 401, 407, 422, 423, 481, 486, 487, 491, 500, 503]),
        st.sampled_from(["x", "y", "z"]),
        st.integers(0, 5),
        BODIES,
        FIELDS,
    ),
    st.builds(_command, st.sampled_from(COMMANDS), st.integers(0, 5)),
    st.builds(_call, st.sampled_from(["one", "two"]), BODIES),
    st.builds(
        _change,
        st.sampled_from(
            [
                (),
                (trunk(),),
                (trunk(max_calls=1, max_calls_per_s=1.0),),
                (trunk(TrunkAuth.REGISTER),),
                (trunk(TrunkAuth.REGISTER, password="new", instance="urn:uuid:1"),),
                (trunk(TrunkAuth.REGISTER, instance="urn:uuid:1", presence_of=("201",)),),
                (trunk(host="192.0.2.77", options_interval_s=5.0, keep_alive_s=20.0),),
            ]
        ),
    ),
    st.builds(lambda seconds: lambda peer: peer.advance(seconds), st.sampled_from([0.0, 0.3, 1.0, 8.0, 33.0, 70.0])),
)


@given(st.lists(STEPS, max_size=40), st.sampled_from(list(TrunkAuth)))
def test_no_order_of_messages_commands_and_time_breaks_it(steps: list[Step], auth: TrunkAuth) -> None:
    peer = Scripted(trunk(auth))
    peer.start()
    for step in steps:
        step(peer)
    peer.feed(Stop())
    peer.advance(400)
    # Our CANCEL may have been sent before anything came back: those calls end by their own timeout.
    assert peer.agent.open_dialogs == 0
    assert peer.agent.open_transactions == 0
    assert peer.agent.next_deadline() is None
    assert not peer.agent._context.dialogs
    assert not peer.agent._trunks._leaving
    assert not peer.agent._context.peers._met
    assert not peer.agent._context.peers._found


@given(st.data())
def test_calls_over_a_bad_wire_end_at_both_ends(data: st.DataObject) -> None:
    """Any of the first messages may be lost, doubled or late; a hangup ends what is left."""
    fates = data.draw(st.lists(st.sampled_from([(), (LATENCY_S,), (LATENCY_S, 0.6), (0.3,), (1.1,)]), max_size=12))

    def tamper(number: int, sent: Sent) -> tuple[float, ...]:
        return fates[number] if number < len(fates) else (LATENCY_S,)

    wire, caller, callee = pair(wire=Wire(tamper=tamper))
    callee.on_event = Answering(node=callee, answer_after_s=data.draw(st.sampled_from([0.0, 0.5, 3.0])))
    dialog = caller.call(sdp=data.draw(st.sampled_from([None, WIRE_SDP])))
    ends: list[UsageCommand] = [HangUpAsked(), CancelAsked()]
    command = data.draw(st.sampled_from(ends))
    wire.later(data.draw(st.floats(0, 70)), lambda: caller.steer(dialog, command))
    wire.run(QUIET_S + 100)
    assert_nothing_left(caller, callee)
    for node in (caller, callee):
        finals = [kind for kind in node.kinds() if kind in ("CallFailed", "CallEnded", "CallCancelled")]
        assert len(finals) <= 1


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_no_dialled_string_smuggles_a_line_into_the_invite(called: str, caller: str, phrase: str) -> None:
    peer = Scripted()
    try:
        peer.call(called=called, caller=caller)
    except LocalSipError as error:  # pragma: no cover - the assertion says what is wrong
        raise AssertionError("placing a call must never raise") from error
    for message, _ in peer.sent:
        names = [name for name, _ in message.headers]
        assert names.count("From") == names.count("To") == 1
        assert "X-Evil" not in names
    peer.receive(peer_request("INVITE", sdp=SDP))
    peer.steer(peer.incoming.dialog, RejectAsked(status=486, reason_phrase=phrase))
    assert peer.last_response().status == 486


def test_nonsense_in_the_middle_of_calls_raises_nothing_and_leaves_nothing() -> None:
    outcomes, _ = sip_user_agent.run(1_000, seed=3261)
    assert min(outcomes["2xx"], outcomes["4xx"], outcomes["IncomingCall"], outcomes["CallAnswered"]) > 0
