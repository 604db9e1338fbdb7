"""Calls to groups, in the states that tests begin from: a phone calls Alice, Bob and Carol."""

from bridge.calls import commands as cmd
from bridge.calls import events as ev
from bridge.calls import hunt_commands as hcmd
from bridge.calls import hunt_events as hev
from bridge.calls import matrix_commands as mxcmd
from bridge.calls import matrix_events as mxev
from bridge.calls import media_events as medev
from bridge.calls.call import Call
from bridge.calls.hunt import Hunt
from bridge.calls.hunt_plan import BoxOf, HuntPlan, Member
from bridge.calls.menu import MenuPlan
from bridge.calls.message import MessageBox
from bridge.core.ids import MatrixCallId, PartyId, RoomId, UserId
from tests.calls import scenes
from tests.calls.scenes import ALICE, run

BOB, CAROL, DAVE = (UserId(f"@{name}:example.org") for name in ("bob", "carol", "dave"))
MEMBERS = (ALICE, BOB, CAROL)
EACH_S = 20.0
BOX = MessageBox(reasons=("busy",), longest_s=60.0, limit_s=90.0)


def ring(user: UserId) -> MatrixCallId:
    return MatrixCallId(f"z{user}")


def room(user: UserId) -> RoomId:
    return RoomId(f"!{user}")


def plan(
    *users: UserId, in_turn: bool = False, group: str = "sales", otherwise: HuntPlan | BoxOf | MenuPlan | None = None
) -> HuntPlan:
    members = tuple(Member(user=user, matrix_call_id=ring(user)) for user in users or MEMBERS)
    return HuntPlan(members=members, in_turn=in_turn, each_s=EACH_S, group=group, otherwise=otherwise)


def for_group(wanted: HuntPlan | None = None) -> Call:
    """The phone's INVITE has arrived."""
    call, wanted = scenes.incoming(), wanted or plan()
    call.matrix.user, call.matrix.call_id = UserId(""), MatrixCallId("znobody")
    call.hunt = Hunt(plan=wanted, group=wanted.group)
    return call


def hunting(wanted: HuntPlan | None = None) -> Call:
    """The members are being asked for."""
    call = for_group(wanted)
    run(call, ev.CallPermitted())
    return call


def judged(user: UserId) -> hev.MemberJudged:
    return hev.MemberJudged(matrix_call_id=ring(user))


def room_ready(user: UserId, *, joined: bool = True) -> hev.MemberRoomReady:
    return hev.MemberRoomReady(matrix_call_id=ring(user), room_id=room(user), ghost=scenes.GHOST, user_joined=joined)


def rings(user: UserId) -> hev.MemberRings:
    return hev.MemberRings(matrix_call_id=ring(user))


OFFER = medev.MatrixOfferReady(sdp="our offer")


def all_ring(wanted: HuntPlan | None = None) -> Call:
    """All devices of all members ring."""
    call = hunting(wanted)
    for user in MEMBERS:
        run(call, judged(user), room_ready(user))
    run(call, OFFER, *map(rings, MEMBERS))
    return call


def first_rings(wanted: HuntPlan | None = None) -> Call:
    """The first of those who ring in turn does."""
    call = hunting(wanted or plan(in_turn=True))
    run(call, judged(ALICE), room_ready(ALICE), OFFER, rings(ALICE))
    return call


def answer(user: UserId) -> mxev.AnswerReceived:
    return mxev.AnswerReceived(
        matrix_call_id=ring(user), user=user, party=PartyId(f"of {user}"), version=1, sdp=f"answer of {user}"
    )


def decline(user: UserId, reason: str | None = None) -> mxev.RejectReceived:
    return mxev.RejectReceived(matrix_call_id=ring(user), user=user, party=PartyId(f"of {user}"), reason=reason)


def hangup(user: UserId, reason: str | None = None) -> mxev.HangupReceived:
    return mxev.HangupReceived(matrix_call_id=ring(user), user=user, party=PartyId(f"of {user}"), reason=reason)


def silenced(commands: list[cmd.Command]) -> dict[RoomId, str]:
    """Where we have hung up, and with which reason."""
    hangups = [command for command in commands if isinstance(command, mxcmd.SendHangup)]
    return {command.other.room_id: command.reason.value for command in hangups if command.other is not None}


def invited(commands: list[cmd.Command]) -> list[UserId]:
    return [command.user for command in commands if isinstance(command, hcmd.InviteMember)]


def asked(commands: list[cmd.Command]) -> list[UserId]:
    return [command.user for command in commands if isinstance(command, hcmd.JudgeMember)]
