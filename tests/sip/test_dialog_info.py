"""What a PBX tells of its phones, read (RFC 4235)."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.sip.dialog_info import MAX_BODY, MAX_DIALOGS, PhoneState, phone_state, read_dialog_info
from bridge.sip.errors import SipError

NS = 'xmlns="urn:ietf:params:xml:ns:dialog-info"'


def document(*dialogs: str, version: int = 0, state: str = "full") -> bytes:
    inside = "".join(f'<dialog id="{at}"><state>{word}</state></dialog>' for at, word in enumerate(dialogs))
    head = f'<dialog-info {NS} version="{version}" state="{state}" entity="sip:201@pbx">'
    return f'<?xml version="1.0"?>{head}{inside}</dialog-info>'.encode()


@pytest.mark.parametrize(
    ("words", "state"),
    [
        ((), PhoneState.IDLE),
        (("terminated",), PhoneState.IDLE),
        (("trying",), PhoneState.RINGING),
        (("proceeding",), PhoneState.RINGING),
        (("early",), PhoneState.RINGING),
        (("early", "confirmed"), PhoneState.BUSY),
        ((" Confirmed\n",), PhoneState.BUSY),
        (("something-new",), PhoneState.IDLE),
    ],
)
def test_what_a_phone_with_these_calls_is_doing(words: tuple[str, ...], state: PhoneState) -> None:
    assert phone_state(read_dialog_info(document(*words)).states.values()) is state


def test_a_partial_document_says_so() -> None:
    info = read_dialog_info(document("early", version=7, state="partial"))
    assert (info.version, info.full, info.states) == (7, False, {"0": "early"})


def test_prefixes_and_what_others_add_change_nothing() -> None:
    body = (
        '<d:dialog-info xmlns:d="urn:ietf:params:xml:ns:dialog-info" xmlns:o="urn:o" version="1" state="full">'
        '<o:dialog id="x"><d:state>confirmed</d:state></o:dialog>'
        '<d:dialog id="1"><o:state>confirmed</o:state><d:remote><d:state>confirmed</d:state></d:remote>'
        "<d:state>ear<!-- c -->ly</d:state></d:dialog></d:dialog-info>"
    )
    assert read_dialog_info(body.encode()).states == {"1": "early"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<",
        b"<presence/>",
        b"<dialog-info version='0' state='full'/>",
        f"<dialog-info {NS} state='full'/>".encode(),
        f"<dialog-info {NS} version='-1' state='full'/>".encode(),
        f"<dialog-info {NS} version='{'9' * 5000}' state='full'/>".encode(),
        f'<!DOCTYPE x [<!ENTITY a "b">]><dialog-info {NS} version="0" state="full"/>'.encode(),
        f'<!DOCTYPE x SYSTEM "file:///etc/passwd"><dialog-info {NS} version="0" state="full"/>'.encode(),
        document() + b" " * MAX_BODY,
    ],
)
def test_what_is_no_such_document_is_refused(body: bytes) -> None:
    with pytest.raises(SipError):
        read_dialog_info(body)


def test_a_document_is_read_as_utf_8_whatever_it_declares() -> None:
    assert read_dialog_info(b"<?xml version='1.0' encoding='no-such'?>" + document("early")[21:]).states == {
        "0": "early"
    }


def test_no_more_calls_are_kept_than_a_phone_can_have() -> None:
    assert len(read_dialog_info(document(*["early"] * 500)).states) == MAX_DIALOGS


@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda junk: document("early")[:120] + junk))
def test_no_body_causes_any_other_error(body: bytes) -> None:
    with suppress(SipError):
        read_dialog_info(body)
