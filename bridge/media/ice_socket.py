"""One socket of an ICE agent: sorts what comes, and hands on nothing that a stranger may have sent.

What is changed of aioice's own is told in `ice`.
"""

import struct
from typing import TYPE_CHECKING, Any

from aioice import stun
from aioice.ice import StunProtocol

from bridge.media.first_octet import DTLS_OCTETS, SRTP_OCTETS, STUN_OCTETS
from bridge.media.latch import Address

if TYPE_CHECKING:
    from bridge.media.ice import IceAgent


class GuardedProtocol(StunProtocol):
    """One local socket of an ICE agent."""

    receiver: "IceAgent"

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        """Sort a datagram by its first byte and by whether its source is known."""
        if not data or not isinstance(data, bytes):
            return
        source = (addr[0], addr[1])
        if data[0] in STUN_OCTETS:
            self._stun(data, source)
        elif not self.receiver.is_validated(source):
            self.receiver.on_off_path()
        elif data[0] in SRTP_OCTETS:
            self.receiver.on_srtp(data)
        elif data[0] in DTLS_OCTETS:
            self.receiver.take_dtls(data, source)

    def _stun(self, data: bytes, source: Address) -> None:
        """Take a message apart and hand it on, as the overridden method does but for what cannot be parsed."""
        message = _parsed(data) if self._concerns_us(data) else None
        if message is None:
            self.receiver.count_stranger(source)
        elif message.message_class is stun.Class.REQUEST:
            self.receiver.request_received(message, source, self)
        elif message.message_class is not stun.Class.INDICATION:
            transaction = self.transactions.get(message.transaction_id)
            if transaction is not None:
                transaction.response_received(message, source)

    def _concerns_us(self, data: bytes) -> bool:
        """Whether it can be a request for us, or an answer to something that we asked (RFC 8489 §5, §6.3)."""
        if len(data) < stun.HEADER_LENGTH:
            return False
        is_request = not (data[0] & 0x01 or data[1] & 0x10)
        return self.receiver.named in data if is_request else data[8:20] in self.transactions


def _parsed(data: bytes) -> stun.Message | None:
    """A STUN message; aioice's parser lets some errors of malformed ones through."""
    try:
        return stun.parse_message(data)
    except (ValueError, IndexError, KeyError, struct.error):
        return None
