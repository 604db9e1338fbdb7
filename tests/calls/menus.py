"""Phones in spoken menus, in the states that tests begin from."""

from bridge.calls import events as ev
from bridge.calls import inbound
from bridge.calls import menu_commands as ncmd
from bridge.calls import menu_events as nev
from bridge.calls import message_events as mev
from bridge.calls.call import Call
from bridge.calls.hunt_plan import BoxOf
from bridge.calls.menu import MenuPlan, Prompt
from bridge.calls.message import MessageBox
from bridge.calls.state import Timer
from bridge.core.ids import CallId, MatrixCallId, TrunkName, UserId
from tests.calls import hunts
from tests.calls.hunts import BOB
from tests.calls.scenes import ALICE, BRIDGE, DIALOG, TIMES, run

SALES = MenuPlan(name="sales", choices={"1": "@alice:example.org"})
MAIN = MenuPlan(
    name="main",
    choices={"1": "@alice:example.org", "2": "menu:sales", "3": "voicemail:@alice:example.org"},
    timeout_s=8.0,
    repeats=1,
)
DIALLED = MenuPlan(name="main", choices={"1": "menu:sales", "7": "menu:sales"}, extensions="12")
BOX = MessageBox(reasons=("no_answer", "busy"), longest_s=120.0, limit_s=150.0)
PLAYED = mev.SoundPlayed()
SILENCE = ev.TimerFired(timer=Timer.MENU)
FOUND = nev.PeopleFound(plan=hunts.plan(ALICE, group=""))
BOXED = nev.PeopleFound(plan=hunts.plan(ALICE, group="", otherwise=BoxOf(user=ALICE, box=BOX)))
GROUP = nev.PeopleFound(plan=hunts.plan(ALICE, BOB))
BOX_ALONE = nev.PeopleFound(plan=BoxOf(user=ALICE, box=BOX, always=True))
ROOM_READY = hunts.room_ready(ALICE)
EXPIRED = ev.TimerFired(timer=Timer.EXPIRY)


def key(digit: str) -> mev.PhoneKeyPressed:
    return mev.PhoneKeyPressed(digit=digit)


def says(prompt: Prompt, menu: str = "main") -> ncmd.PlayPrompt:
    return ncmd.PlayPrompt(menu=menu, prompt=prompt)


def dialled(menu: MenuPlan = MAIN, sdp: str | None = "phone offer") -> Call:
    """A phone has called a number that leads to a menu."""
    call = inbound.begin(
        call_id=CallId("call-3"),
        trunk=TrunkName("carrier"),
        number="+15550100",
        dialog=DIALOG,
        sdp=sdp,
        user=UserId(""),
        matrix_call_id=MatrixCallId("zFIRST"),
        own_party=BRIDGE,
        menu=menu,
        times=TIMES,
        now=0.0,
        wall=1_000_000.0,
    )
    run(call, ev.CallPermitted())
    return call


def listening(menu: MenuPlan = MAIN) -> Call:
    """The phone hears the choices."""
    call = dialled(menu)
    run(call, mev.OwnAnswerReady(sdp="our answer"), now=10.0)
    return call


def choosing(menu: MenuPlan = MAIN) -> Call:
    """It has heard them."""
    call = listening(menu)
    run(call, PLAYED, now=15.0)
    return call


def seeking(found: nev.PeopleFound = FOUND) -> Call:
    """It has chosen a person."""
    call = choosing()
    run(call, key("1"), found, now=20.0)
    return call


def ringing(found: nev.PeopleFound = FOUND) -> Call:
    """The person's devices ring."""
    call = seeking(found)
    run(call, hunts.judged(ALICE), ROOM_READY, hunts.OFFER, hunts.rings(ALICE), now=21.0)
    return call


THEN_MENU = hunts.plan(ALICE, BOB, otherwise=MAIN)


def follows_a_group() -> Call:
    """Nobody of the called group has taken the call, and the phone is being answered for a menu."""
    call = hunts.hunting(THEN_MENU)
    run(call, hunts.judged(ALICE), ROOM_READY, hunts.OFFER, EXPIRED, now=5.0)
    return call


def follows_a_group_of_a_menu() -> Call:
    """A menu has led to that group, and the phone is back in a menu."""
    call = seeking(nev.PeopleFound(plan=hunts.plan(ALICE, BOB, otherwise=SALES)))
    run(call, EXPIRED, now=45.0)
    return call
