"""Descriptions of both sides: what is accepted, what is refused, and what we write."""

from ipaddress import IPv6Address, ip_network

import pytest
from aioice import Candidate

from bridge.core.entropy import SeededEntropy
from bridge.media import negotiation, sdp_matrix, sdp_sip
from bridge.media.candidates import MAX_CANDIDATES, IgnoredCandidate, parse_candidate
from bridge.media.formats import AudioFormat, Codec, DigitFormat
from bridge.media.policy import SipMediaPolicy
from bridge.media.sdp import Flow, SdpError, parse_sdp
from bridge.media.sdp_matrix import LocalStream, LocalTransport, RemoteMatrix, Setup
from bridge.media.sip_side import SipSide

FINGERPRINT = ":".join(["AB"] * 32)
SESSION = ["v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0"]
AUDIO = [
    "m=audio 9 UDP/TLS/RTP/SAVPF 111 63 0 8 13 110 126",
    "c=IN IP4 0.0.0.0",
    "a=rtcp-mux",
    "a=mid:0",
    "a=sendrecv",
    "a=ice-ufrag:abcd",
    "a=ice-pwd:abcdefghijklmnopqrstuvwx",
    f"a=fingerprint:sha-256 {FINGERPRINT}",
    "a=setup:actpass",
    "a=rtpmap:111 opus/48000/2",
    "a=rtpmap:63 red/48000/2",
    "a=rtpmap:110 telephone-event/48000",
    "a=rtpmap:126 telephone-event/8000",
]
VIDEO = ["m=video 9 UDP/TLS/RTP/SAVPF 96", "a=mid:1", "a=rtpmap:96 VP8/90000"]
DATA = ["m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "a=mid:2"]
TRANSPORT = LocalTransport(
    ufrag="ours",
    password="p" * 22,
    fingerprint=FINGERPRINT,
    candidates=("candidate:1 1 udp 2130706431 192.0.2.1 20000 typ host",),
    host="192.0.2.1",
    port=20000,
)
STREAM = LocalStream(session=1, version=1, stream="stream-id", track="track-id", ssrc=42, cname="name")


def text(*lines: str) -> str:
    return "\r\n".join(lines) + "\r\n"


def matrix(*lines: str, answer: bool = False, loopback: bool = False) -> RemoteMatrix:
    return sdp_matrix.read_remote(text(*lines), answer=answer, allow_loopback=loopback)


def changed(old: str, new: str) -> list[str]:
    """The audio section with one text replaced; an empty line disappears."""
    assert any(old in line for line in AUDIO)
    return [line.replace(old, new) for line in AUDIO if line.replace(old, new)]


def test_a_browsers_offer_is_understood() -> None:
    remote = matrix(*SESSION, "a=group:BUNDLE 0", *AUDIO)
    assert [entry.codec for entry in remote.audio] == [Codec.OPUS, Codec.PCMU, Codec.PCMA]
    assert [(entry.payload_type, entry.clock_rate) for entry in remote.digits] == [(110, 48000), (126, 8000)]
    assert (remote.mid, remote.setup, remote.flow) == ("0", Setup.ACTPASS, Flow.SENDRECV)


def test_a_terse_offer_with_odd_spelling_is_understood() -> None:
    remote = matrix(
        *SESSION,
        "a=fingerprint:SHA-256 " + FINGERPRINT.lower(),
        "a=ice-ufrag:abcd",
        "a=ice-pwd:abcdefghijklmnopqrstuvwx",
        "m=audio 4000 UDP/TLS/RTP/SAVPF 96",
        "a=mid:audio0",
        "a=rtpmap:96 OPUS/48000/2",
        "a=ssrc:5 msid:x y",
        "a=candidate:1 1 UDP 2015363327 192.0.2.7 40000 typ host",
        "a=candidate:2 1 TCP 1015021823 192.0.2.7 9 typ host tcptype active",
        "a=candidate:3 1 UDP 2015363327 fe80::1 40001 typ host",
    )
    assert remote.audio == (AudioFormat(payload_type=96, codec=Codec.OPUS),)
    assert (remote.mid, remote.setup, remote.flow) == ("audio0", Setup.ACTPASS, Flow.SENDRECV)
    assert remote.fingerprints[0].value == FINGERPRINT
    assert [candidate.host for candidate in remote.candidates] == ["192.0.2.7"]
    assert remote.ignored == (IgnoredCandidate.TRANSPORT, IgnoredCandidate.ADDRESS)


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("not a description", ["hello"]),
        ("no audio", [*SESSION, *VIDEO]),
        ("port 0", [*SESSION, *changed("m=audio 9", "m=audio 0")]),
        ("port 99999", [*SESSION, *changed("m=audio 9", "m=audio 99999")]),
        ("port that is no number", [*SESSION, *changed("m=audio 9", "m=audio nine")]),
        ("no fingerprint", [*SESSION, *changed(f"a=fingerprint:sha-256 {FINGERPRINT}", "")]),
        ("short fingerprint", [*SESSION, *changed(FINGERPRINT, FINGERPRINT[:-3])]),
        ("fingerprint that is no hex", [*SESSION, *changed("AB:AB", "XY:AB")]),
        ("weak fingerprint", [*SESSION, *changed("sha-256", "sha-1")]),
        ("no ufrag", [*SESSION, *changed("a=ice-ufrag:abcd", "")]),
        ("short ufrag", [*SESSION, *changed("ufrag:abcd", "ufrag:abc")]),
        ("ufrag with a colon", [*SESSION, *changed("ufrag:abcd", "ufrag:ab:cd")]),
        ("no password", [*SESSION, *changed("a=ice-pwd:abcdefghijklmnopqrstuvwx", "")]),
        ("endless password", [*SESSION, *changed("a=ice-pwd:abcdefghijklmnopqrstuvwx", "a=ice-pwd:" + "x" * 300)]),
        ("evil setup", [*SESSION, *changed("setup:actpass", "setup:evil")]),
        ("setup holdconn", [*SESSION, *changed("setup:actpass", "setup:holdconn")]),
        ("unknown codecs", [*SESSION, *changed("111 63 0 8 13 110 126", "63 13 120 4294967296 x -1 ٣")]),
        ("opus without a rate", [*SESSION, *changed("111 63 0 8 13 110 126", "111")[:-4], "a=rtpmap:111 opus"]),
        ("opus at a wrong rate", [*SESSION, *changed("111 63 0 8 13 110 126", "111")[:-4], "a=rtpmap:111 opus/8000"]),
        ("no security", [*SESSION, *changed("UDP/TLS/RTP/SAVPF", "RTP/AVP")]),
        ("64 kB", [*SESSION, *AUDIO, *["a=x:" + "y" * 100] * 700]),
        ("500 sections", [*SESSION, *AUDIO, *VIDEO * 500]),
        ("media line too short", [*SESSION, "m=audio"]),
    ],
)
def test_useless_webrtc_descriptions_are_refused(name: str, lines: list[str]) -> None:
    with pytest.raises(SdpError):
        matrix(*lines)


def test_an_answer_must_choose_a_dtls_role() -> None:
    with pytest.raises(SdpError):
        matrix(*SESSION, *AUDIO, answer=True)
    assert matrix(*SESSION, *changed("actpass", "passive"), answer=True).setup is Setup.PASSIVE
    assert matrix(*SESSION, *changed("a=setup:actpass", ""), answer=True).setup is Setup.ACTIVE


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("candidate:1 1 udp 1 192.0.2.1 5000 typ host", "192.0.2.1"),
        ("a=candidate:1 1 UDP 1 192.0.2.1 5000 TYP SRFLX raddr 10.0.0.1 rport 9", "192.0.2.1"),
        ("1 1 udp 1 2001:db8::1 5000 typ relay", "2001:db8::1"),
        ("candidate:1 1 udp 1 192.0.2.1 5000 typ host generation 0 ufrag abcd network-cost 999", "192.0.2.1"),
        ("candidate:1 1 udp 1 5aa2.local 5000 typ host", IgnoredCandidate.NAME),
        ("candidate:1 1 udp 1 example.org 5000 typ host", IgnoredCandidate.NAME),
        ("candidate:1 1 tcp 1 192.0.2.1 9 typ host tcptype active", IgnoredCandidate.TRANSPORT),
        ("candidate:1 2 udp 1 192.0.2.1 5000 typ host", IgnoredCandidate.COMPONENT),
        ("candidate:1 1 udp 1 127.0.0.1 5000 typ host", IgnoredCandidate.ADDRESS),
        ("candidate:1 1 udp 1 ::1 5000 typ host", IgnoredCandidate.ADDRESS),
        ("candidate:1 1 udp 1 ::ffff:127.0.0.1 5000 typ host", IgnoredCandidate.ADDRESS),
        ("candidate:1 1 udp 1 169.254.169.254 5000 typ host", IgnoredCandidate.ADDRESS),
        ("candidate:1 1 udp 1 fe80::1 5000 typ host", IgnoredCandidate.ADDRESS),
        ("candidate:1 1 udp 1 224.0.0.1 5000 typ host", IgnoredCandidate.ADDRESS),
        ("candidate:1 1 udp 1 0.0.0.0 5000 typ host", IgnoredCandidate.ADDRESS),
        ("candidate:1 1 udp 1 0.1.2.3 5000 typ host", IgnoredCandidate.ADDRESS),
        ("candidate:1 1 udp 1 168.63.129.16 5000 typ host", IgnoredCandidate.ADDRESS),
        ("candidate:1 1 udp 1 64:ff9b::a9fe:a9fe 5000 typ host", IgnoredCandidate.ADDRESS),
        ("candidate:1 1 udp 1 2002:7f00:1:: 5000 typ host", IgnoredCandidate.ADDRESS),
        ("candidate:1 1 udp 1 10.0.0.1 5000 typ host", IgnoredCandidate.PRIVATE),
        ("candidate:1 1 udp 1 172.31.0.1 5000 typ host", IgnoredCandidate.PRIVATE),
        ("candidate:1 1 udp 1 192.168.9.9 5000 typ host", IgnoredCandidate.PRIVATE),
        ("candidate:1 1 udp 1 100.100.100.200 5000 typ host", IgnoredCandidate.PRIVATE),
        ("candidate:1 1 udp 1 fd00:ec2::254 5000 typ host", IgnoredCandidate.PRIVATE),
        ("candidate:1 1 udp 1 ::ffff:10.0.0.1 5000 typ host", IgnoredCandidate.PRIVATE),
        ("candidate:1 1 udp 1 10.77.0.1 5000 typ host", "10.77.0.1"),
        ("candidate:1 1 udp 1 192.0.2.1 22 typ host", IgnoredCandidate.ADDRESS),
        ("candidate:1 1 udp 1 192.0.2.1 70000 typ host", IgnoredCandidate.ADDRESS),
        ("candidate:1 1 udp 1 192.0.2.1 5000 typ prflx", IgnoredCandidate.UNPARSABLE),
        ("candidate:1 1 udp x 192.0.2.1 5000 typ host", IgnoredCandidate.UNPARSABLE),
        ("candidate:1 1 udp", IgnoredCandidate.UNPARSABLE),
        ("candidate:1 1 udp 1 192.0.2.1 5000 typ host " + "x" * 600, IgnoredCandidate.UNPARSABLE),
    ],
)
def test_candidates(line: str, expected: str | IgnoredCandidate) -> None:
    parsed = parse_candidate(line, allow_loopback=False, private_networks=(ip_network("10.77.0.0/16"),))
    assert (parsed.host if isinstance(parsed, Candidate) else parsed) == expected


def test_loopback_is_a_candidate_only_where_it_is_configured() -> None:
    parsed = parse_candidate("candidate:1 1 udp 1 127.0.0.1 5000 typ host", allow_loopback=True)
    assert isinstance(parsed, Candidate)


def test_only_so_many_candidates_are_taken() -> None:
    lines = [f"a=candidate:{n} 1 udp {n} 192.0.2.1 {2000 + n} typ host" for n in range(400)]
    remote = matrix(*SESSION, *AUDIO, *lines)
    assert len(remote.candidates) == MAX_CANDIDATES
    assert remote.ignored == (IgnoredCandidate.TOO_MANY,)


@pytest.mark.parametrize(
    ("mid", "index", "expected"),
    [("0", 0, True), ("", 0, True), ("", 1, False), (None, None, True), ("1", 0, False), ("audio", 1, True)],
)
def test_trickled_candidates_find_their_section(mid: str | None, index: int | None, expected: bool) -> None:
    remote = matrix(*SESSION, *AUDIO, *VIDEO)
    assert sdp_matrix.belongs(remote, mid, index) is expected


def test_our_offer_has_what_clients_look_for() -> None:
    audio = negotiation.matrix_offer_audio(None, None)
    offer = sdp_matrix.write_offer(TRANSPORT, STREAM, audio)
    assert "m=video" not in offer
    assert "m=audio 20000 UDP/TLS/RTP/SAVPF 0 8 111 110 126\r\n" in offer
    for line in (
        "a=group:BUNDLE 0",
        "a=msid:stream-id track-id",
        "a=sendrecv",
        "a=setup:actpass",
        "a=rtcp-mux",
        "a=mid:0",
        "a=end-of-candidates",
        "a=candidate:1 1 udp 2130706431 192.0.2.1 20000 typ host",
        "a=rtpmap:111 opus/48000/2",
        f"a=fingerprint:sha-256 {FINGERPRINT}",
    ):
        assert f"{line}\r\n" in offer
    assert [section.value("msid") for section in parse_sdp(offer).media] == ["stream-id track-id"]


def answer_to(*lines: str) -> tuple[RemoteMatrix, str]:
    remote = matrix(*lines)
    formats = negotiation.matrix_answer_formats(remote, None, None, None)
    return remote, sdp_matrix.write_answer(remote, TRANSPORT, STREAM, formats, Setup.PASSIVE)


def test_our_answer_keeps_the_sections_and_rejects_what_is_not_audio() -> None:
    _, answer = answer_to(*SESSION, "a=group:BUNDLE 1 0 2", *VIDEO, *AUDIO, *DATA)
    sections = parse_sdp(answer).media
    assert [(s.kind, s.port != 0, s.value("mid")) for s in sections] == [
        ("video", False, "1"),
        ("audio", True, "0"),
        ("application", False, "2"),
    ]
    assert "a=group:BUNDLE 0\r\n" in answer
    assert "a=setup:passive\r\n" in answer
    assert "a=msid:stream-id track-id\r\n" in answer
    assert sections[1].formats == ("0", "126"), "one clock for digits, the codec's own"


def test_an_answer_uses_the_offers_payload_types_and_mid() -> None:
    lines = [line.replace("mid:0", "mid:audio0") for line in changed("111 63 0 8 13 110 126", "111 110")]
    _, answer = answer_to(*SESSION, *lines)
    section = parse_sdp(answer).media[0]
    assert section.formats == ("111", "110")
    assert section.value("mid") == "audio0"
    assert "BUNDLE" not in answer


@pytest.mark.parametrize(
    ("flow", "answered"),
    [("sendonly", "recvonly"), ("recvonly", "sendonly"), ("inactive", "inactive"), ("sendrecv", "sendrecv")],
)
def test_a_hold_is_mirrored(flow: str, answered: str) -> None:
    _, answer = answer_to(*SESSION, *changed("sendrecv", flow))
    assert f"a={answered}\r\n" in answer
    phone = sip("m=audio 4000 RTP/AVP 0", f"a={flow}")
    formats = negotiation.sip_answer_formats(phone, None, None)
    written = sdp_sip.write_answer(phone, sdp_sip.LocalSip(host="192.0.2.1", port=20000, session=1, version=1), formats)
    assert f"a={answered}\r\n" in written


def sip(*lines: str, connection: str = "c=IN IP4 192.0.2.9") -> sdp_sip.RemoteSip:
    return sdp_sip.read_remote(text(*SESSION, connection, *lines), allow_loopback=False, ip_version=4)


def test_a_phones_offer_is_understood() -> None:
    remote = sip(
        "m=audio 4000 RTP/AVP 18 8 0 96 13",
        "a=rtpmap:18 G729/8000",
        "a=rtpmap:96 Telephone-Event/8000",
        "a=rtcp:4444",
    )
    assert [entry.codec for entry in remote.audio] == [Codec.PCMA, Codec.PCMU]
    assert remote.digits == (DigitFormat(payload_type=96, clock_rate=8000),)
    assert (remote.host, remote.port, remote.rtcp_port) == ("192.0.2.9", 4000, 4444)
    assert not remote.on_hold


@pytest.mark.parametrize(
    ("name", "lines", "connection"),
    [
        ("no audio", ["m=video 4000 RTP/AVP 96"], "c=IN IP4 192.0.2.9"),
        ("rejected audio", ["m=audio 0 RTP/AVP 0"], "c=IN IP4 192.0.2.9"),
        ("encrypted audio only", ["m=audio 4000 RTP/SAVP 0"], "c=IN IP4 192.0.2.9"),
        ("no G.711", ["m=audio 4000 RTP/AVP 18"], "c=IN IP4 192.0.2.9"),
        ("privileged port", ["m=audio 22 RTP/AVP 0"], "c=IN IP4 192.0.2.9"),
        ("a name", ["m=audio 4000 RTP/AVP 0"], "c=IN IP4 example.org"),
        ("multicast", ["m=audio 4000 RTP/AVP 0"], "c=IN IP4 224.2.1.1/127"),
        ("metadata service", ["m=audio 4000 RTP/AVP 0"], "c=IN IP4 169.254.169.254"),
        ("loopback", ["m=audio 4000 RTP/AVP 0"], "c=IN IP4 127.0.0.1"),
        ("other IP version", ["m=audio 4000 RTP/AVP 0"], "c=IN IP6 2001:db8::1"),
        ("no address", ["m=audio 4000 RTP/AVP 0"], "b=AS:64"),
    ],
)
def test_useless_phone_descriptions_are_refused(name: str, lines: list[str], connection: str) -> None:
    with pytest.raises(SdpError):
        sip(*lines, connection=connection)


def test_plain_rtp_is_found_among_other_sections() -> None:
    remote = sip("m=audio 4000 RTP/SAVP 0", "m=audio 4002 RTP/AVP 0", "m=video 4004 RTP/AVP 31")
    formats = negotiation.sip_answer_formats(remote, None, None)
    local = sdp_sip.LocalSip(host="192.0.2.1", port=20000, session=1, version=1)
    sections = parse_sdp(sdp_sip.write_answer(remote, local, formats)).media
    assert [section.port for section in sections] == [0, 20000, 0]


@pytest.mark.parametrize(("flow", "answered"), [("sendrecv", "recvonly"), ("recvonly", "inactive")])
def test_the_old_hold_stops_our_audio(flow: str, answered: str) -> None:
    remote = sip("m=audio 4000 RTP/AVP 0", f"a={flow}", connection="c=IN IP4 0.0.0.0")
    formats = negotiation.sip_answer_formats(remote, None, None)
    local = sdp_sip.LocalSip(host="192.0.2.1", port=20000, session=1, version=1)
    assert remote.on_hold
    assert f"a={answered}\r\n" in sdp_sip.write_answer(remote, local, formats)


def test_the_same_g711_is_preferred_on_both_legs() -> None:
    phone = sip("m=audio 4000 RTP/AVP 8")
    offered = negotiation.matrix_offer_audio(None, phone)
    assert [entry.codec for entry in offered] == [Codec.PCMA, Codec.PCMU, Codec.OPUS]
    browser = matrix(*SESSION, *AUDIO)
    chosen = negotiation.matrix_answer_formats(browser, None, phone, None)
    assert chosen.send.codec is Codec.PCMA
    assert chosen.send_digits == DigitFormat(payload_type=126, clock_rate=8000)
    both = sip("m=audio 4000 RTP/AVP 0 8")
    assert negotiation.sip_answer_formats(both, chosen, None).send.codec is Codec.PCMA
    assert negotiation.sip_answer_formats(both, None, None).send.codec is Codec.PCMU
    pcma_only = matrix(*SESSION, *changed("111 63 0 8 13 110 126", "111 8"))
    assert [entry.codec for entry in negotiation.sip_offer_audio(None, None, pcma_only)] == [Codec.PCMA, Codec.PCMU]


def test_opus_goes_with_events_at_its_own_clock() -> None:
    browser = matrix(*SESSION, *changed("111 63 0 8 13 110 126", "111 126 110"))
    chosen = negotiation.matrix_answer_formats(browser, None, None, None)
    assert (chosen.send.codec, chosen.send_digits) == (Codec.OPUS, DigitFormat(payload_type=110, clock_rate=48000))


@pytest.mark.parametrize(
    ("address", "reachable"),
    [
        ("::ffff:127.0.0.1", False),
        ("::ffff:169.254.169.254", False),
        ("::ffff:224.0.0.1", False),
        ("::ffff:0.0.0.0", False),
        ("::1", False),
        ("::ffff:192.0.2.1", True),
        ("2001:db8::1", True),
    ],
)
def test_an_ipv4_address_in_ipv6_clothes_is_what_it_stands_for(address: str, reachable: bool) -> None:
    lines = text(*SESSION, f"c=IN IP6 {address}", "m=audio 4000 RTP/AVP 0")
    candidate = parse_candidate(f"1 1 udp 1 {address} 5000 typ host", allow_loopback=False)
    if reachable:
        assert sdp_sip.read_remote(lines, allow_loopback=False, ip_version=6).host == str(IPv6Address(address))
        assert isinstance(candidate, Candidate)
    else:
        with pytest.raises(SdpError):
            sdp_sip.read_remote(lines, allow_loopback=False, ip_version=6)
        assert candidate is IgnoredCandidate.ADDRESS


def test_digits_are_taken_under_our_payload_type_and_under_the_phones_own() -> None:
    answer = sip("m=audio 4000 RTP/AVP 0 96", "a=rtpmap:96 telephone-event/8000")
    agreed = negotiation.sip_offered_formats(answer)
    assert agreed.send_digits == DigitFormat(payload_type=96, clock_rate=8000)
    assert {entry.payload_type for entry in agreed.receive_digits} == {96, 101}
    spoilt = sip("m=audio 4000 RTP/AVP 0 8", "a=rtpmap:8 telephone-event/8000")
    assert negotiation.sip_offered_formats(spoilt).received_digits(8) is None


@pytest.mark.parametrize("spoilt", ["m=vi\0deo 9 RTP/AVP 31", "m=video 9 RTP\x7fAVP 31", "m=video 9 RTP/AVP 3\u20421"])
def test_what_is_no_word_is_not_repeated_to_who_sent_it(spoilt: str) -> None:
    client = matrix(*SESSION, "a=group:BUNDLE 0\x7f", *changed("a=mid:0", "a=mid:0\x7f"), spoilt)
    formats = negotiation.matrix_answer_formats(client, None, None, None)
    answers = [sdp_matrix.write_answer(client, TRANSPORT, STREAM, formats, Setup.PASSIVE)]
    phone = sdp_sip.read_remote(
        "\r\n".join(["v=0", "c=IN IP4 192.0.2.7", "m=audio 5000 RTP/AVP 0", spoilt, ""]),
        allow_loopback=False,
        ip_version=4,
    )
    side = SipSide(SipMediaPolicy(), SeededEntropy(1), host="192.0.2.1", session=1)
    side.take_offer(phone)
    answers.append(side.answer(None))
    for answer in answers:
        assert all(line.isascii() and line.isprintable() for line in answer.split("\r\n"))
        assert len(parse_sdp(answer).media) == 2
