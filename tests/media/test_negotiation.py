"""Which codec each leg gets: every pair of what a client and a phone have, on trunks with different wishes."""

from dataclasses import replace

import pytest

from bridge.media import sdp_matrix, sdp_sip
from bridge.media.formats import AudioFormat, Codec, PacketTimes, PacketWish
from bridge.media.negotiation import (
    client_ptime,
    matrix_answer_formats,
    matrix_offer_audio,
    matrix_offered_formats,
    sip_answer_formats,
    sip_offer_audio,
    sip_offered_formats,
)
from bridge.media.policy import SipMediaPolicy
from bridge.media.sdp_matrix import RemoteMatrix
from bridge.media.sdp_sip import RemoteSip
from tests.media.descriptions import WEBRTC_OFFER

NO_WISH = PacketWish()
LETTERS = {"O": Codec.OPUS, "G": Codec.G722, "U": Codec.PCMU, "A": Codec.PCMA}
NAMES = {codec: letter for letter, codec in LETTERS.items()}
PAYLOAD_TYPES = {Codec.OPUS: 120, Codec.G722: 9, Codec.PCMU: 0, Codec.PCMA: 8}
PHONE = "v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 0\r\n"


def audio(letters: str) -> tuple[AudioFormat, ...]:
    """Formats under payload types that are not ours."""
    codecs = [LETTERS[letter] for letter in letters]
    return tuple(AudioFormat(payload_type=PAYLOAD_TYPES[codec], codec=codec) for codec in codecs)


def client(letters: str, wish: PacketWish = NO_WISH) -> RemoteMatrix:
    """A client's description."""
    read = sdp_matrix.read_remote(WEBRTC_OFFER, answer=False, allow_loopback=True)
    return replace(read, audio=audio(letters), wish=wish)


def phone(letters: str, trunk: SipMediaPolicy, wish: PacketWish = NO_WISH) -> RemoteSip:
    """A phone's description, less what its trunk must not use."""
    read = sdp_sip.read_remote(PHONE, allow_loopback=True, ip_version=4)
    return replace(read, audio=tuple(one for one in audio(letters) if one.codec in trunk.allowed), wish=wish)


def policy(letters: str) -> SipMediaPolicy:
    return SipMediaPolicy(codecs=tuple(LETTERS[letter] for letter in letters))


def first_shared(offered: tuple[AudioFormat, ...], letters: str) -> str:
    """What most answerers choose: the first of the offer that they have."""
    return next(NAMES[entry.codec] for entry in offered if NAMES[entry.codec] in letters)


def called(client_has: str, phone_has: str, trunk: SipMediaPolicy) -> str:
    """A user calls a phone: what the Matrix leg speaks, and what the phone."""
    offer = client(client_has)
    answer = phone(first_shared(sip_offer_audio(None, None, offer, trunk), phone_has), trunk)
    sip = sip_offered_formats(answer, trunk)
    matrix = matrix_answer_formats(offer, sip, answer, None, trunk)
    return NAMES[matrix.send.codec] + NAMES[sip.send.codec]


def calling(client_has: str, phone_has: str, trunk: SipMediaPolicy) -> str:
    """A phone calls a user."""
    offer = phone(phone_has, trunk)
    answer = client(first_shared(matrix_offer_audio(None, offer, trunk), client_has))
    matrix = matrix_offered_formats(answer)
    sip = sip_answer_formats(offer, matrix, None, trunk)
    return NAMES[matrix.send.codec] + NAMES[sip.send.codec]


CLIENTS = ("O", "OU", "OUA", "OGUA")
"""Nheko speaks Opus only; Chromium has all."""
TABLE = """
    -    UA   OU UU UU UU
    -    A    OA UA AA AA
    -    OGA  OA UA AA AA
    GAU  UA   OA UA AA AA
    GAU  GA   OG OG OG GG
    GAU  AG   OG OG OG GG
    GAU  OA   OA UA AA AA
    GAU  OGA  OG OG OG GG
    GAU  G    OG OG OG GG
    OGAU UA   OA UA AA AA
    OGAU GA   OG OG OG GG
    OGAU AG   OG OG OG GG
    OGAU OA   OO OO OO OO
    OGAU GOA  OO OO OO OO
    OGAU G    OG OG OG GG
    OGAU O    OO OO OO OO
    AGO  OGA  OA UA AA AA
    AGO  G    OG OG OG GG
"""
"""What the trunk may use, what the phone has, and for each client the codec of the Matrix leg and the phone's."""
ROWS = [line.split() for line in TABLE.strip().splitlines()]


@pytest.mark.parametrize(("trunk", "phone_has", "expected"), [(row[0], row[1], row[2:]) for row in ROWS])
def test_codecs_of_both_legs(trunk: str, phone_has: str, expected: list[str]) -> None:
    wanted = policy(trunk.strip("-"))
    assert [called(one, phone_has, wanted) for one in CLIENTS] == expected
    assert [calling(one, phone_has, wanted) for one in CLIENTS] == expected


def test_a_trunk_without_an_order_takes_the_clients_when_it_is_called_and_the_phones_when_it_calls() -> None:
    assert called("OUA", "AU", policy("")) == "UU"
    assert calling("OUA", "AU", policy("")) == "AA"


@pytest.mark.parametrize("trunk", ["GOA", "OGA"])
def test_of_two_wideband_codecs_the_one_is_taken_that_passes_through(trunk: str) -> None:
    for client_has in ("O", "OUA"):
        assert called(client_has, "OGA", policy(trunk)) == "OO"
        assert calling(client_has, "OGA", policy(trunk)) == "OO"


def test_the_codec_stays_through_a_new_offer_of_either_side() -> None:
    trunk = policy("GAU")
    offer = client("OGUA")
    sip = sip_offered_formats(phone("A", trunk), trunk)
    matrix = matrix_answer_formats(offer, sip, None, None, trunk)
    assert (matrix.send.codec, sip.send.codec) == (Codec.PCMA, Codec.PCMA)
    assert sip_answer_formats(phone("GAU", trunk), matrix, sip, trunk).send.codec is Codec.PCMA
    assert sip_offer_audio(sip, matrix, offer, trunk)[0].codec is Codec.PCMA
    moved = sip_answer_formats(phone("G", trunk), matrix, sip, trunk)
    assert moved.send.codec is Codec.G722, "another phone may have nothing else"
    assert matrix_answer_formats(client("OGUA"), moved, None, matrix, trunk).send.codec is Codec.PCMA


def test_events_have_the_clock_of_the_audio_where_the_phone_has_both() -> None:
    trunk = policy("OA")
    text = PHONE.replace("AVP 0", "AVP 120 8 101 102") + (
        "a=rtpmap:120 opus/48000/2\r\na=rtpmap:101 telephone-event/8000\r\na=rtpmap:102 telephone-event/48000\r\n"
    )
    offer = sdp_sip.read_remote(text, allow_loopback=True, ip_version=4, policy=trunk)
    formats = sip_answer_formats(offer, None, None, trunk)
    assert (formats.send.codec, formats.send_digits and formats.send_digits.clock_rate) == (Codec.OPUS, 48000)
    local = sdp_sip.LocalSip(host="192.0.2.2", port=4000, session=1, version=1, policy=trunk)
    answer = sdp_sip.write_answer(offer, local, formats)
    assert "m=audio 4000 RTP/AVP 120 102" in answer
    assert "a=rtpmap:120 opus/48000/2" in answer
    plain = sdp_sip.read_remote(text, allow_loopback=True, ip_version=4, policy=policy("A"))
    assert [entry.clock_rate for entry in plain.digits] == [8000]


@pytest.mark.parametrize(
    ("lines", "codec", "made_ms", "exact", "longest_ms"),
    [
        ((), Codec.PCMU, 20, False, 0),
        (("a=ptime:30",), Codec.PCMU, 30, True, 0),
        (("a=ptime:30",), Codec.OPUS, 20, True, 0),
        (("a=ptime:60", "a=maxptime:40"), Codec.G722, 40, True, 40),
        (("a=maxptime:10",), Codec.PCMA, 10, False, 10),
        (("a=maxptime:150",), Codec.PCMA, 20, False, 150),
        (("a=ptime:25",), Codec.PCMA, 20, True, 0),
        (("a=ptime:20.0",), Codec.PCMA, 20, True, 0),
        (("a=ptime:5",), Codec.PCMU, 10, True, 0),
        (("a=ptime:500",), Codec.PCMU, 60, True, 0),
        (("a=ptime:0",), Codec.PCMU, 20, False, 0),
        (("a=ptime:-20",), Codec.PCMU, 20, False, 0),
        (("a=ptime:99999999999",), Codec.PCMU, 20, False, 0),
        (("a=ptime:soon", "a=maxptime:"), Codec.PCMU, 20, False, 0),
    ],
)
def test_packet_times_that_a_phone_asks_for(
    lines: tuple[str, ...], codec: Codec, made_ms: int, exact: bool, longest_ms: int
) -> None:
    text = PHONE + "".join(f"{line}\r\n" for line in lines)
    wish = sdp_sip.read_remote(text, allow_loopback=True, ip_version=4).wish
    assert wish.times(codec, insists=True) == PacketTimes(made_ms=made_ms, exact=exact, longest_ms=longest_ms)


def test_a_client_is_asked_for_the_packets_that_the_phone_wants() -> None:
    trunk, wish = policy(""), PacketWish(ptime_ms=30)
    assert client_ptime(None, None) == 20
    assert client_ptime(None, phone("A", trunk, wish)) == 30
    assert client_ptime(sip_offered_formats(phone("A", trunk, wish), trunk), None) == 30


def test_only_a_phone_insists_on_the_length_that_it_names() -> None:
    wish = PacketWish(ptime_ms=40, maxptime_ms=60)
    packets = matrix_answer_formats(client("U", wish), None, None, None).packets
    assert packets == PacketTimes(made_ms=40, exact=False, longest_ms=60)
    assert packets.fit(Codec.PCMU, bytes(160))
    assert not packets.fit(Codec.PCMU, bytes(481))
    assert not PacketTimes(made_ms=30, exact=True).fit(Codec.G722, bytes(160))
    assert PacketTimes(made_ms=30, exact=True).fit(Codec.OPUS, bytes(160))
