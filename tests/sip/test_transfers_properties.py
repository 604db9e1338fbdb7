"""Whatever goes on beside a call, in whatever order: nothing raises, and nothing is left when all is over."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from bridge.core.ids import DialogKey
from bridge.sip.events import ReferralProgress
from bridge.sip.inputs import DialogCommand, Stop
from bridge.sip.keypad import DigitAsked
from bridge.sip.message import Request
from bridge.sip.referral_commands import ReferAsked, ReferralAccepted, ReferralRefused, ReferralReported
from bridge.sip.usage_commands import HangUpAsked
from tests.sip.scripted_peer import Scripted, peer_request, trunk

Step = Callable[[Scripted], None]

COMMANDS: tuple[DialogCommand, ...] = (
    ReferralAccepted(),
    ReferralAccepted(),
    ReferralRefused(status=603),
    ReferralReported(status=180),
    ReferralReported(status=486),
    ReferAsked(target_user="+15550177"),
    ReferAsked(target_user="+15550177", replaces=DialogKey("call")),
    DigitAsked(digit="5", duration_ms=100),
    HangUpAsked(),
)
REFER_TO = ("Refer-To", "<sip:+15550177@pbx.example>")
BESIDE: tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...] = (
    ("REFER", "", (REFER_TO,)),
    ("REFER", "", (REFER_TO, ("Refer-Sub", "false"))),
    ("REFER", "", (("Refer-To", "nonsense"),)),
    ("NOTIFY", "SIP/2.0 100 Trying", (("Event", "refer"), ("Content-Type", "message/sipfrag"))),
    ("NOTIFY", "SIP/2.0 200 OK", (("Event", "refer"), ("Content-Type", "message/sipfrag"))),
    ("NOTIFY", "", (("Event", "refer;id=2"), ("Subscription-State", "terminated"))),
    ("NOTIFY", "", (("Event", "presence"),)),
    ("INFO", "5", (("Content-Type", "application/dtmf"),)),
    ("BYE", "", ()),
)


def receive(dialog: DialogKey, beside: tuple[str, str, tuple[tuple[str, str], ...]]) -> Step:
    """A request of the peer inside the call, in order."""
    method, body, fields = beside

    def step(peer: Scripted) -> None:
        request = inside(peer, dialog, method, fields)
        if request is not None:
            request.body = body.encode()
            peer.receive(request)

    return step


def inside(peer: Scripted, dialog: DialogKey, method: str, fields: tuple[tuple[str, str], ...]) -> Request | None:
    names = [referring.dialog for referring in peer.agent._transfers.sent.values()]
    usage = peer.agent._context.usages.get(dialog)
    found = usage.dialog if usage is not None else next(iter(names), None)
    if found is None:
        return None
    cseq = (found.remote_cseq or 0) + 1
    return peer_request(
        method,
        cseq=cseq,
        branch=f"{method}{cseq}",
        call_id=found.sip_call_id,
        from_=str(found.remote),
        to=str(found.local),
        fields=fields,
    )


def answer(status: int, back: int) -> Step:
    """The peer answers one of our newest requests, perhaps again."""

    def step(peer: Scripted) -> None:
        requests = [message for message, _ in peer.sent if isinstance(message, Request) and message.method != "ACK"]
        if requests:
            peer.answer(requests[-1 - back % len(requests)], status)

    return step


def steps_of(dialog: DialogKey) -> st.SearchStrategy[list[Step]]:
    seconds = st.sampled_from([0.0, 0.6, 11.0, 33.0, 301.0])
    return st.lists(
        st.one_of(
            st.builds(receive, st.just(dialog), st.sampled_from(BESIDE)),
            st.builds(answer, st.sampled_from([100, 200, 202, 200, 202, 403, 481, 500]), st.integers(0, 2)),
            st.builds(lambda command: lambda peer: peer.steer(dialog, command), st.sampled_from(COMMANDS)),
            st.builds(lambda after_s: lambda peer: peer.advance(after_s), seconds),
        ),
        min_size=8,
        max_size=25,
    )


@given(st.data(), st.booleans())
def test_no_order_of_what_goes_on_beside_a_call_breaks_it(data: st.DataObject, called: bool) -> None:
    peer = Scripted(trunk(accept_transfers=True))
    dialog = peer.accepted_call()[0] if called else peer.answered_call()
    for step in data.draw(steps_of(dialog)):
        step(peer)
    peer.feed(Stop())
    peer.advance(700)
    assert (peer.agent.open_dialogs, peer.agent.open_transactions) == (0, 0)
    assert peer.agent.next_deadline() is None
    assert not peer.agent._transfers.received
    assert not peer.agent._transfers.sent
    assert not peer.agent._keypads.waiting
    assert not peer.agent._context.peers._met
    outcomes = [event for event in peer.events if isinstance(event, ReferralProgress) and event.status >= 200]
    asked = peer.titles().count("REFER")
    assert len(outcomes) >= (1 if asked else 0), "each REFER of ours has an outcome"
