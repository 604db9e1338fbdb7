"""Text messages of a user agent: sent, challenged, refused, received (RFC 3428)."""

import pytest

from bridge.core.ids import TextKey
from bridge.sip.actions import TrunkResolved
from bridge.sip.events import OutgoingText, TextDelivered, TextFailed, TextReceived
from bridge.sip.inputs import Stop
from bridge.sip.settings import Texting, TrunkAuth
from bridge.sip.targets import server_at
from bridge.sip.texts import MAX_WAITING, AnswerText, SendText
from tests.sip.scripted_peer import PEER, STRANGER, TRUNK, Scripted, peer_request, trunk

KEY = TextKey("text")


def writing(auth: TrunkAuth = TrunkAuth.ADDRESS, **settings: object) -> Scripted:
    return Scripted(trunk(auth, **{"texts": Texting.PAGE, **settings}))


def send(peer: Scripted, body: str = "Grüße", key: TextKey = KEY, **fields: object) -> None:
    message = OutgoingText(
        **{"trunk": TRUNK, "called": "+15550100", "caller": "+15550199", "body": body, **fields}  # type: ignore[arg-type]
    )
    peer.feed(SendText(text=key, message=message))


def text(body: bytes = b"hello", *, branch: str = "one", **fields: str) -> bytes:
    headers = {"Content-Type": "text/plain", **{name.replace("_", "-"): value for name, value in fields.items()}}
    request = peer_request("MESSAGE", branch=branch, call_id=branch, fields=tuple(headers.items()))
    request.headers.remove("Contact")
    request.body = body
    return bytes(request)


class TestSending:
    def test_a_text_is_one_request_outside_any_dialog(self) -> None:
        peer = writing()
        send(peer)
        request = peer.last_request("MESSAGE")
        assert str(request.uri) == f"sip:+15550100@{PEER}"
        assert str(request.from_.uri) == f"sip:+15550199@{PEER}"
        assert request.body.decode() == "Grüße"
        assert request.headers.get("Content-Type") == "text/plain;charset=UTF-8"
        assert "Contact" not in request.headers  # RFC 3428 §4

    @pytest.mark.parametrize("status", [200, 202])
    def test_what_the_trunk_took_is_delivered(self, status: int) -> None:
        peer = writing()
        send(peer)
        peer.answer(peer.last_request("MESSAGE"), status)
        assert peer.events == [TextDelivered(text=KEY)]

    @pytest.mark.parametrize("status", [404, 415, 480, 503, 604])
    def test_a_refusal_is_told_with_its_status(self, status: int) -> None:
        peer = writing()
        send(peer)
        peer.answer(peer.last_request("MESSAGE"), status)
        assert peer.events == [TextFailed(text=KEY, status=status)]

    def test_silence_ends_it_after_timer_f(self) -> None:
        peer = writing()
        send(peer)
        peer.advance(33)
        assert peer.titles().count("MESSAGE") > 5
        assert peer.events == [TextFailed(text=KEY, status=408, local=True)]

    def test_a_challenge_is_answered_once(self) -> None:
        peer = writing(TrunkAuth.DIGEST)
        send(peer)
        first = peer.last_request("MESSAGE")
        peer.challenge(first)
        again = peer.last_request("MESSAGE")
        assert again.cseq.number == first.cseq.number + 1
        assert "Proxy-Authorization" in again.headers
        assert again.body == first.body
        peer.challenge(again)
        assert peer.events == [TextFailed(text=KEY, status=407)]

    def test_the_next_server_is_tried_when_one_is_unavailable(self) -> None:
        peer = writing()
        servers = server_at((PEER, "192.0.2.3"), 5060, peer.transport)
        peer.feed(TrunkResolved(trunk=TRUNK, servers=servers))
        send(peer)
        first = peer.last_request("MESSAGE")
        peer.answer(first, 503)
        second = peer.last_request("MESSAGE")
        assert second.via.branch != first.via.branch
        assert "Contact" not in second.headers
        peer.answer(second, 200)
        assert peer.events == [TextDelivered(text=KEY)]

    def test_a_trunk_without_an_address_fails_it_at_once(self) -> None:
        peer = writing()
        send(peer, trunk="unknown")
        assert peer.events == [TextFailed(text=KEY, status=503, local=True)]

    def test_a_withheld_number_is_not_shown(self) -> None:
        peer = writing()
        send(peer, withheld=True)
        assert "anonymous" in str(peer.last_request("MESSAGE").from_)

    def test_only_so_many_are_under_way(self) -> None:
        peer = writing()
        for number in range(MAX_WAITING + 1):
            send(peer, key=TextKey(str(number)))
        assert peer.events == [TextFailed(text=TextKey(str(MAX_WAITING)), status=503, local=True)]


class TestReceiving:
    def received(self, peer: Scripted) -> TextReceived:
        event = peer.last_event()
        assert isinstance(event, TextReceived)
        return event

    def test_a_text_waits_for_the_application_and_copies_are_absorbed(self) -> None:
        peer = writing()
        peer.receive(text("Grüße".encode()))
        event = self.received(peer)
        assert (event.called, event.caller, event.body) == ("+15550199", "+15550123", "Grüße")
        peer.receive(text("Grüße".encode()))
        assert len(peer.events) == 1
        assert not peer.sent
        peer.feed(AnswerText(text=event.text, status=202))
        assert peer.titles() == ["202 MESSAGE"]
        peer.receive(text("Grüße".encode()))
        assert peer.titles() == ["202 MESSAGE"] * 2
        assert len(peer.events) == 1

    @pytest.mark.parametrize(
        ("kind", "raw", "body"),
        [
            ("text/plain;charset=UTF-8", "é".encode(), "é"),
            ('text/plain; charset="iso-8859-1"', b"\xe9", "é"),
            ("TEXT/PLAIN", b"a\xff", "a\ufffd"),
        ],
    )
    def test_charsets(self, kind: str, raw: bytes, body: str) -> None:
        peer = writing()
        peer.receive(text(raw, Content_Type=kind))
        assert self.received(peer).body == body

    @pytest.mark.parametrize("kind", ["message/cpim", "text/html", "text/plain;charset=utf-16", "x"])
    def test_what_is_no_plain_text_is_refused_with_what_is(self, kind: str) -> None:
        peer = writing()
        peer.receive(text(Content_Type=kind))
        assert peer.titles() == ["415 MESSAGE"]
        assert peer.last_response().headers.get("Accept") == "text/plain"

    def test_compressed_texts_are_refused(self) -> None:
        peer = writing()
        peer.receive(text(Content_Encoding="gzip"))
        assert peer.titles() == ["415 MESSAGE"]

    def test_a_trunk_without_texts_is_told_so(self) -> None:
        peer = writing(texts=Texting.NONE)
        peer.receive(text())
        assert peer.titles() == ["405 MESSAGE"]
        assert "MESSAGE" not in (peer.last_response().headers.get("Allow") or "")
        assert not peer.events

    def test_one_with_texts_learns_that_it_may_send_them(self) -> None:
        peer = writing()
        peer.receive(peer_request("OPTIONS"))
        assert "MESSAGE" in (peer.last_response().headers.get("Allow") or "")
        assert "text/plain" in (peer.last_response().headers.get("Accept") or "")

    def test_a_strangers_text_is_dropped(self) -> None:
        peer = writing()
        peer.receive(text(), source=STRANGER)
        assert not peer.sent
        assert not peer.events

    def test_no_more_wait_than_can(self) -> None:
        peer = writing()
        for number in range(MAX_WAITING + 1):
            peer.receive(text(branch=f"b{number}"))
        assert len(peer.events) == MAX_WAITING
        assert peer.titles() == ["503 MESSAGE"]

    def test_an_answer_after_the_end_changes_nothing(self) -> None:
        peer = writing()
        peer.receive(text())
        event = self.received(peer)
        peer.feed(AnswerText(text=event.text, status=202))
        peer.feed(AnswerText(text=event.text, status=480))
        assert peer.titles() == ["202 MESSAGE"]
        peer.feed(Stop())
