"""Random stories of two calls whose user leaves them to each other: no phone is left waiting.

Each call is given what can happen to it; what they tell each other is delivered in order, at any later moment.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from bridge.calls import commands as cmd
from bridge.calls import events as ev
from bridge.calls import fetch, outcomes
from bridge.calls import handover_commands as hcmd
from bridge.calls import handover_events as hev
from bridge.calls import media_commands as medcmd
from bridge.calls import media_events as medev
from bridge.calls import sip_commands as sipcmd
from bridge.calls import sip_events as sipev
from bridge.calls.call import Call
from bridge.calls.state import USER_HAS_LEFT, SipLeg, State
from bridge.core.ids import CallId, DialogKey
from bridge.core.verdict import MatrixReason
from tests.calls import scenes
from tests.calls.test_handover import ATTENDED, ATTENDED_BY_REFER, AWAITED, BLIND, BY_REFER, OTHER
from tests.calls.test_transfer import talking


@dataclass
class World:
    """The two calls, the words between them, and what their audio and phones do when asked."""

    calls: dict[CallId, Call] = field(default_factory=dict)
    words: deque[tuple[CallId, ev.Event]] = field(default_factory=deque)
    """What is on its way: words of partners, results of the audio."""
    farewells: dict[CallId, int] = field(default_factory=dict)
    now: float = 10.0

    def feed(self, call_id: CallId, event: ev.Event) -> None:
        call = self.calls.get(call_id)
        if call is None:
            return
        for command in scenes.run(call, event, now=self.now):
            self.carry_out(call, command)
        if call.ended:
            del self.calls[call_id]

    def carry_out(self, call: Call, command: cmd.Command) -> None:
        match command:
            case hcmd.TellPartner() if command.partner in self.calls:
                self.words.append((command.partner, command.event))
            case hcmd.TellPartner() if not isinstance(command.event, hev.PartnerLeft):
                self.words.append((call.call_id, hev.PartnerLeft(verdict=outcomes.transfer_failed())))
            case hcmd.FetchPhone() if call.handover is not None:
                self.calls[command.call_id] = fetch.begin(call, call.handover, now=self.now, wall=0.0)
                self.words.append((command.call_id, hev.FetchPermitted()))
            case hcmd.JoinMedia() if command.partner in self.calls:
                self.words.append((call.call_id, hev.PartnersJoined()))
            case hcmd.JoinMedia():
                self.words.append((call.call_id, medev.MediaRefused(verdict=outcomes.transfer_failed())))
            case medcmd.WriteSipOffer():
                self.words.append((call.call_id, medev.SipOfferReady(sdp="our offer")))
            case sipcmd.PlaceSipCall():
                call.dialog = DialogKey(f"of-{call.call_id}")
            case sipcmd.ByeSip() | sipcmd.CancelSip():
                self.farewells[call.call_id] = self.farewells.get(call.call_id, 0) + 1
            case _:
                pass

    def deliver(self, most: int) -> None:
        while self.words and most:
            self.feed(*self.words.popleft())
            most -= 1

    def wait(self) -> bool:
        """Let the earliest deadline pass; whether there was one."""
        deadlines = [(call.next_deadline(), call_id) for call_id, call in self.calls.items()]
        due = min(((at, call_id) for at, call_id in deadlines if at is not None), default=None)
        if due is None:
            return False
        self.now = max(self.now, due[0])
        for timer in self.calls[due[1]].due(self.now):
            self.feed(due[1], ev.TimerFired(timer=timer))
        return True


Step = Callable[[World], object]


def world() -> World:
    """A user talks with two phones."""
    first, other = talking(), talking()
    other.call_id, other.dialog = OTHER, DialogKey("of-the-other")
    return World(calls={first.call_id: first, OTHER: other})


FIRST = talking().call_id
SECOND = CallId(f"{FIRST}-2")
WISHES = st.sampled_from([BLIND, BY_REFER, ATTENDED, ATTENDED_BY_REFER, AWAITED])
FACTS = st.sampled_from(
    [
        *(hev.ReferralReported(status=status, refused=False) for status in (100, 200, 486)),
        hev.ReferralReported(status=603, refused=True),
        *(
            sipev.SipEnded(),
            sipev.SipReoffered(sdp="hold"),
            medev.MediaLost(reason=MatrixReason.ICE_TIMEOUT),
            scenes.hangup(),
        ),
    ]
)
OF_THE_FETCHED = st.sampled_from(
    [
        sipev.SipProgress(status=183, sdp="tones"),
        sipev.SipAnswered(sdp="answer"),
        sipev.SipFailed(status=486),
        sipev.SipAnswered(),
    ]
)
STEPS: st.SearchStrategy[Step] = st.one_of(
    st.sampled_from([1, 2, 10]).map(lambda most: lambda world: world.deliver(most)),
    st.just(World.wait),
    st.tuples(st.sampled_from([FIRST, OTHER]), WISHES).map(lambda step: lambda world: world.feed(*step)),
    st.tuples(st.sampled_from([FIRST, OTHER, SECOND]), FACTS).map(lambda step: lambda world: world.feed(*step)),
    OF_THE_FETCHED.map(lambda event: lambda world: world.feed(SECOND, event) if _is_dialled(world) else None),
)


def _is_dialled(world: World) -> bool:
    second = world.calls.get(SECOND)
    return second is not None and second.sip_leg is SipLeg.DIALLING


def settle(world: World) -> None:
    """Nothing more happens but what was begun."""
    world.deliver(100)
    while any(call.state in (State.HANDING_OVER, State.FETCHING) for call in world.calls.values()) and world.wait():
        world.deliver(100)


@given(steps=st.lists(STEPS, max_size=25))
def test_two_phones_are_joined_or_neither_is_left_waiting(steps: list[Step]) -> None:
    story = world()
    for step in steps:
        step(story)
    settle(story)
    assert not story.words
    for call in story.calls.values():
        assert call.state not in USER_HAS_LEFT or call.state is State.JOINED
        if call.state is State.JOINED:
            assert call.partner is not None
            partner = story.calls[call.partner]
            assert (partner.state, partner.partner) == (State.JOINED, call.call_id)
    assert all(count == 1 for count in story.farewells.values())


@given(steps=st.lists(STEPS, max_size=25))
def test_when_two_phones_are_joined_the_end_of_one_is_that_of_the_other(
    steps: list[Step],
) -> None:
    story = world()
    for step in steps:
        step(story)
    settle(story)
    joined = [call for call in story.calls.values() if call.state is State.JOINED]
    for call in joined[:1]:
        story.feed(call.call_id, sipev.SipEnded())
    story.deliver(100)
    assert not any(call.state is State.JOINED for call in story.calls.values())
