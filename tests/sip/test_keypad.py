"""Keys in INFO requests: in order, one at a time, and only those that are keys (RFC 6086)."""

import pytest

from bridge.core.ids import DialogKey
from bridge.sip.events import DigitsReceived
from bridge.sip.keypad import MAX_WAITING, DigitAsked
from bridge.sip.message import Request
from bridge.sip.usage_commands import HangUpAsked
from tests.sip.scripted_peer import Scripted, peer_request


def info(tag: str, body: str, kind: str = "application/dtmf-relay", *more: tuple[str, str], cseq: int = 2) -> Request:
    fields = (("Content-Type", kind), *more)
    request = peer_request("INFO", to_tag=tag, cseq=cseq, branch=f"info{cseq}", fields=fields)
    request.body = body.encode()
    return request


def press(peer: Scripted, dialog: DialogKey, digits: str) -> None:
    for digit in digits:
        peer.steer(dialog, DigitAsked(digit=digit, duration_ms=120))


def bodies(peer: Scripted) -> list[bytes]:
    return [message.body for message, _ in peer.sent if isinstance(message, Request) and message.method == "INFO"]


def test_a_key_of_the_peer_is_told() -> None:
    peer = Scripted()
    dialog, _, tag = peer.accepted_call()
    peer.receive(info(tag, "Signal=5\r\nDuration=160\r\n"))
    assert peer.last_event() == DigitsReceived(dialog=dialog, digits="5", duration_ms=160)
    peer.receive(info(tag, "12#", "application/dtmf", cseq=3))
    assert peer.last_event() == DigitsReceived(dialog=dialog, digits="12#", duration_ms=250)
    assert peer.titles() == ["200 INFO", "200 INFO"]
    assert "12#" not in repr(peer.last_event())


def test_a_repeated_info_is_one_key() -> None:
    peer = Scripted()
    _, _, tag = peer.accepted_call()
    for _ in range(3):
        peer.receive(info(tag, "Signal=5"))
    assert sum(isinstance(event, DigitsReceived) for event in peer.events) == 1
    assert peer.titles() == ["200 INFO"] * 3


def test_an_empty_info_is_answered() -> None:
    peer = Scripted()
    _, _, tag = peer.accepted_call()
    before = len(peer.events)
    peer.receive(info(tag, ""))
    assert (peer.titles(), len(peer.events)) == (["200 INFO"], before)


@pytest.mark.parametrize(
    ("request_", "status", "field"),
    [
        (info("", "Signal=99999"), 400, None),
        (info("", "x", "application/media_control+xml"), 415, ("Accept", "application/dtmf-relay, application/dtmf")),
        (info("", "x", "x/y", ("Info-Package", "dtmf")), 469, ("Recv-Info", "")),
    ],
)
def test_what_is_no_key_is_refused(request_: Request, status: int, field: tuple[str, str] | None) -> None:
    peer = Scripted()
    _, _, tag = peer.accepted_call()
    request_.headers.set("To", f"<sip:+15550199@example.org>;tag={tag}")
    before = len(peer.events)
    peer.receive(request_)
    assert peer.last_response().status == status
    assert len(peer.events) == before
    assert field is None or peer.last_response().headers.get(field[0]) == field[1]


def test_keys_are_sent_one_after_another() -> None:
    peer = Scripted()
    dialog = peer.answered_call()
    press(peer, dialog, "1#")
    assert bodies(peer) == [b"Signal=1\r\nDuration=120\r\n"]
    assert peer.last_request("INFO").content_type == "application/dtmf-relay"
    peer.answer(peer.last_request("INFO"), 200)
    assert bodies(peer)[1:] == [b"Signal=#\r\nDuration=120\r\n"]
    peer.answer(peer.last_request("INFO"), 200)
    assert not peer.agent._keypads.waiting
    assert peer.counted("sip_info_digits_total", direction="out", outcome="sent") == 2


@pytest.mark.parametrize("status", [405, 415, 481, 500])
def test_a_peer_that_refuses_a_key_gets_none_of_those_that_waited(status: int) -> None:
    peer = Scripted()
    dialog = peer.answered_call()
    press(peer, dialog, "123")
    peer.answer(peer.last_request("INFO"), status)
    assert len(bodies(peer)) == 1
    assert peer.counted("sip_info_digits_total", outcome="refused") == 1
    assert peer.counted("sip_info_digits_total", outcome="dropped") == 2
    press(peer, dialog, "4")
    assert bodies(peer)[-1].startswith(b"Signal=4")


def test_keys_do_not_pile_up() -> None:
    peer = Scripted()
    dialog = peer.answered_call()
    press(peer, dialog, "1" * (MAX_WAITING + 5))
    assert peer.counted("sip_info_digits_total", outcome="dropped") == 4


def test_no_key_is_sent_where_nobody_talks() -> None:
    peer = Scripted()
    ringing = peer.call()
    press(peer, ringing, "1")
    press(peer, DialogKey("gone"), "1")
    dialog = peer.answered_call()
    press(peer, dialog, "x")
    peer.steer(dialog, HangUpAsked())
    press(peer, dialog, "1")
    assert bodies(peer) == []
    assert peer.counted("sip_info_digits_total", outcome="dropped") == 4


def test_keys_that_wait_are_forgotten_when_the_call_is_over() -> None:
    peer = Scripted()
    dialog = peer.answered_call()
    press(peer, dialog, "12")
    waiting = peer.last_request("INFO")
    peer.steer(dialog, HangUpAsked())
    peer.answer(waiting, 200)
    assert len(bodies(peer)) == 1
    assert not peer.agent._keypads.waiting
