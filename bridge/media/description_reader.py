"""Reads what peers describe, on the thread of the caller.

A stranger can make it expensive, and audio is due every 20 ms.
"""

from bridge.media import sdp_matrix, sdp_sip
from bridge.media.call_settings import CallMediaSettings
from bridge.media.policy import SipMediaPolicy
from bridge.media.sdp import SdpError
from bridge.media.sdp_matrix import RemoteMatrix
from bridge.media.sdp_sip import NotEncrypted, RemoteSip
from bridge.media.verdicts import matrix_refused, not_encrypted, sip_refused


class DescriptionReader:
    """For one call, whose trunk may have rules of its own."""

    def __init__(self, settings: CallMediaSettings, policy: SipMediaPolicy) -> None:
        self._settings = settings
        self._policy = policy

    def matrix(self, text: str, *, answer: bool) -> RemoteMatrix:
        """Check a client's description. Raises :class:`bridge.media.engine.MediaError`."""
        try:
            return sdp_matrix.read_remote(
                text,
                answer=answer,
                allow_loopback=self._settings.webrtc.allow_loopback,
                private_networks=self._settings.webrtc.private_networks,
            )
        except SdpError as error:
            raise matrix_refused(error) from error

    def sip(self, text: str) -> RemoteSip:
        """Check a phone's description. Raises :class:`bridge.media.engine.MediaError`."""
        settings = self._settings
        try:
            return sdp_sip.read_remote(
                text,
                allow_loopback=settings.sip_loopback,
                ip_version=settings.ip_version,
                policy=self._policy,
            )
        except NotEncrypted as error:
            raise not_encrypted(error) from error
        except SdpError as error:
            raise sip_refused(error) from error
