"""Hostile descriptions: what they may hold, what they may cost, and that any text is answered or refused."""

import time
from collections.abc import Iterator
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.media import negotiation, sdp_matrix, sdp_sip
from bridge.media.candidates import MAX_CANDIDATES
from bridge.media.sdp import (
    MAX_ATTRIBUTES,
    MAX_FORMATS,
    MAX_SECTIONS,
    MAX_SIZE,
    Attribute,
    MediaSection,
    SdpError,
    SessionDescription,
    audio_formats,
    parse_sdp,
)
from bridge.media.sdp_matrix import RemoteMatrix
from tests.media.test_sdp import AUDIO, SESSION, VIDEO, answer_to, matrix, text

MANY_FORMATS = " ".join(str(n) for n in range(MAX_FORMATS))


@pytest.mark.parametrize(
    ("most", "too_many"),
    [
        (["m=video 9 RTP/AVP " + MANY_FORMATS], ["m=video 9 RTP/AVP " + MANY_FORMATS + " 99"]),
        (["m=video 9 RTP/AVP 0", *["a=x"] * MAX_ATTRIBUTES], ["m=video 9 RTP/AVP 0", *["a=x"] * (MAX_ATTRIBUTES + 1)]),
        (["a=x"] * MAX_ATTRIBUTES, ["a=x"] * (MAX_ATTRIBUTES + 1)),
        (["m=video 9 RTP/AVP 0"] * MAX_SECTIONS, ["m=video 9 RTP/AVP 0"] * (MAX_SECTIONS + 1)),
    ],
)
def test_what_a_description_may_hold_is_limited(most: list[str], too_many: list[str]) -> None:
    parse_sdp(text(*SESSION, *most))
    with pytest.raises(SdpError):
        parse_sdp(text(*SESSION, *too_many))


def worst_description() -> str:
    """The costliest description that is within every limit."""
    formats = " ".join(str(n) for n in range(64, 64 + MAX_FORMATS))
    section = [f"m=audio 9 UDP/TLS/RTP/SAVPF {formats}", *["a=rtpmap:1 x/1"] * (MAX_ATTRIBUTES - len(AUDIO))]
    lines = text(*SESSION, *section, *AUDIO[1:])
    while len(lines) + len(text(*section[:1], *["a=x"] * 400)) < MAX_SIZE and lines.count("m=") < MAX_SECTIONS:
        lines += text(*section[:1], *["a=x"] * 400)
    return lines


def test_the_costliest_description_costs_little() -> None:
    lines, began_s = worst_description(), time.thread_time()
    for _ in range(5):
        assert sdp_matrix.read_remote(lines, answer=False, allow_loopback=False).audio
    assert time.thread_time() - began_s < 5 * 0.2


def test_a_payload_type_is_looked_up_and_not_searched_for() -> None:
    counted = CountedSection(
        kind="audio",
        port=9,
        protocol="RTP/AVP",
        formats=tuple(MANY_FORMATS.split()),
        connection=None,
        attributes=tuple(Attribute(name="rtpmap", value=f"{n} PCMU/8000") for n in range(64)),
    )
    audio, _ = audio_formats(counted)
    assert len(audio) == MAX_FORMATS
    assert CountedSection.walks == 2, "one for the encodings, one for their parameters"


class CountedSection(MediaSection):
    """Counts how often its attributes are gone through."""

    walks: ClassVar[int] = 0

    def values(self, name: str) -> Iterator[str]:
        CountedSection.walks += 1
        return super().values(name)


LINES = st.lists(
    st.sampled_from([*AUDIO, *VIDEO, *SESSION, "a=ice-lite", "m=", "m=audio 1", "a=", "c=IN"]), max_size=60
)


def assert_usable(remote: RemoteMatrix) -> None:
    """What ICE, DTLS and the codecs are given is within what they can take."""
    section = remote.description.media[remote.section_index]
    assert section.kind == "audio"
    assert {str(entry.payload_type) for entry in remote.audio} <= set(section.formats)
    assert remote.audio
    assert remote.fingerprints
    assert len(remote.ufrag) >= 4
    assert len(remote.password) >= 22
    assert len(remote.candidates) <= MAX_CANDIDATES


def assert_answers(answer: str, offer: SessionDescription, accepted: int) -> None:
    """An answer can be read again, has the offer's sections, and takes one of them (RFC 3264 §6)."""
    sections = parse_sdp(answer).media
    assert len(sections) == len(offer.media)
    assert [index for index, section in enumerate(sections) if section.port != 0] == [accepted]


@given(LINES, st.booleans())
def test_descriptions_of_any_lines_are_answered_or_refused(lines: list[str], answer: bool) -> None:
    for head in ((), (*AUDIO,)):
        try:
            remote, written = answer_to(*SESSION, *head, *lines)
            assert_usable(matrix(*SESSION, *head, *lines, answer=answer))
        except SdpError:
            continue
        assert_usable(remote)
        assert_answers(written, remote.description, remote.section_index)


def read_or_refused(lines: str) -> None:
    try:
        remote = sdp_matrix.read_remote(lines, answer=False, allow_loopback=False)
    except SdpError:
        return
    assert_usable(remote)


def answered_or_refused(lines: str) -> None:
    try:
        phone = sdp_sip.read_remote(lines, allow_loopback=False, ip_version=4)
    except SdpError:
        return
    formats = negotiation.sip_answer_formats(phone, None, None)
    assert formats.send in phone.audio
    assert 1024 <= phone.port <= 65535
    local = sdp_sip.LocalSip(host="192.0.2.1", port=20000, session=1, version=1)
    assert_answers(sdp_sip.write_answer(phone, local, formats), phone.description, phone.section_index)


@given(st.text(max_size=500))
def test_any_text_is_read_or_refused(rest: str) -> None:
    for lines in (rest, text(*SESSION) + rest, text(*SESSION, *AUDIO) + rest):
        read_or_refused(lines)
        answered_or_refused(lines)
    answered_or_refused(text(*SESSION, "c=IN IP4 192.0.2.9", "m=audio 4000 RTP/AVP 0") + rest)
