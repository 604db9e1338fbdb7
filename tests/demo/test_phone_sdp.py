"""The phone's descriptions, its own and other people's."""

import pytest

from deploy.demo import phone_sdp
from deploy.demo.errors import DemoError

AUDIO = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\n{session}t=0 0\r\nm=audio 20000 RTP/AVP {formats}\r\n{media}"


def test_the_phone_understands_its_own_description() -> None:
    address = phone_sdp.parse(phone_sdp.describe("127.0.0.1", 4000))

    assert address == phone_sdp.RtpAddress(host="127.0.0.1", port=4000)


def test_an_address_of_the_audio_line_wins_over_that_of_the_session() -> None:
    sdp = AUDIO.format(session="c=IN IP4 192.0.2.1\r\n", formats="8 0", media="c=IN IP4 192.0.2.9\r\n")

    assert phone_sdp.parse(sdp) == phone_sdp.RtpAddress(host="192.0.2.9", port=20000)


@pytest.mark.parametrize(
    "sdp",
    [
        None,
        "",
        "v=0\r\nm=video 20000 RTP/AVP 0\r\nc=IN IP4 192.0.2.1\r\n",
        AUDIO.format(session="c=IN IP4 192.0.2.1\r\n", formats="8 101", media=""),
        AUDIO.format(session="", formats="0", media=""),
    ],
)
def test_a_description_that_the_phone_cannot_use_is_refused(sdp: str | None) -> None:
    with pytest.raises(DemoError):
        phone_sdp.parse(sdp)
