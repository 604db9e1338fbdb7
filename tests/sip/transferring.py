"""Peers that transfer calls, and their requests."""

from bridge.core.ids import DialogKey
from bridge.sip.message import Request
from bridge.sip.settings import TrunkAuth
from tests.sip.scripted_peer import Scripted, peer_request, trunk

TARGET = ("Refer-To", "<sip:+15550177@pbx.example>")


def transferring_peer(auth: TrunkAuth = TrunkAuth.ADDRESS) -> Scripted:
    return Scripted(trunk(auth, accept_transfers=True))


def talking(peer: Scripted | None = None) -> tuple[Scripted, DialogKey, str]:
    """A call from the peer, and our tag in it."""
    peer = peer or transferring_peer()
    dialog, _, tag = peer.accepted_call()
    return peer, dialog, tag


def refer(tag: str, *fields: tuple[str, str], cseq: int = 2, branch: str = "refer") -> Request:
    return peer_request("REFER", to_tag=tag, cseq=cseq, branch=branch, fields=fields or (TARGET,))


def notify(
    request: Request,
    body: str = "SIP/2.0 100 Trying\r\n",
    *,
    cseq: int = 10,
    event: str = "refer",
    state: str = "active;expires=60",
    kind: str = "message/sipfrag;version=2.0",
) -> Request:
    """A report on our REFER."""
    sent = peer_request(
        "NOTIFY",
        cseq=cseq,
        branch=f"notify{cseq}",
        call_id=request.call_id,
        from_=str(request.to),
        to=str(request.from_),
        fields=(("Event", event), ("Subscription-State", state), ("Content-Type", kind)),
    )
    sent.body = body.encode()
    return sent
