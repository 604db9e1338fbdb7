"""The other addresses of a name that a request was sent to, for when there is no way to the first (RFC 3263 §4.3)."""

from collections import OrderedDict

from bridge.sip.actions import Address, ClientKey, Send

MAX_DETOURS = 256
"""Requests whose other addresses are remembered; most never need one, and none says so."""


class Detours:
    """Requests with the addresses that are left for each."""

    def __init__(self) -> None:
        self._left: OrderedDict[ClientKey, tuple[Send, tuple[Address, ...]]] = OrderedDict()

    def note(self, send: Send, addresses: tuple[Address, ...]) -> None:
        """A request goes to the first of these; an ACK has no transaction that could learn of a failure."""
        if len(addresses) > 1 and send.transaction is not None:
            self._left[send.transaction] = (send, addresses)
            if len(self._left) > MAX_DETOURS:
                self._left.popitem(last=False)

    def take(self, transaction: ClientKey) -> tuple[Send, tuple[Address, ...]] | None:
        """The request, and its addresses from the one that failed on."""
        return self._left.pop(transaction, None)
