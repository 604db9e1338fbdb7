"""What a user agent does with the bytes of one message, in a word: the outcome, not only whether it parses."""

from bridge.core.entropy import SeededEntropy
from bridge.sip.actions import Count, Emit, Fault, Flow, LocalAddress, Received, Send, TimeElapsed

from bridge.sip.actions import TrunkResolved  # isort: skip
from bridge.sip.events import IncomingCall
from bridge.sip.inputs import Steer
from bridge.sip.settings import Listener, SipSettings, Transport, Trunk
from bridge.sip.targets import server_at
from bridge.sip.usage_commands import RejectAsked
from bridge.sip.user_agent import UserAgent
from tests.sip.declared import is_declared
from tests.sip.scripted_peer import PEER, TRUNK, US

LONG_S = 100.0
"""After this, no transaction lingers."""


def treatment(wire: bytes, *, source: str = PEER, settings: Trunk | None = None) -> str:
    """`400`, `call` (100, and the call is told), or `silence`; whatever it was, nothing may be left of it."""
    agent = _agent(settings or Trunk(name=TRUNK, host=PEER))
    now, told = 0.0, []
    actions = agent.handle(Received(payload=wire, flow=_flow(source)), now)
    for action in actions:
        match action:
            case Send(payload=payload):
                told.append(payload[8:11].decode())
            case Emit(event=IncomingCall(dialog=dialog)):
                told.append("call")
                agent.handle(Steer(dialog=dialog, command=RejectAsked(status=603)), now)
            case Count():
                is_declared(action, TRUNK)
            case Fault(error=error):
                raise error
            case _:
                pass
    _let_pass(agent, now + LONG_S)
    finals = [word for word in told if word != "100"]
    return " ".join(finals) if finals else "silence"


def _let_pass(agent: UserAgent, end: float) -> None:
    while (deadline := agent.next_deadline()) is not None and deadline <= end:
        agent.handle(TimeElapsed(), deadline)
    left = (agent.open_dialogs, agent.open_transactions, agent.next_deadline(), len(agent._context.dialogs))
    if left != (0, 0, None, 0):
        raise AssertionError(f"left behind: {left}")


def _agent(trunk: Trunk) -> UserAgent:
    listener = Listener(transport=Transport.UDP, host=US, port=5060)
    local = LocalAddress(transport=Transport.UDP, host=US, port=5060)
    settings = SipSettings(listeners=(listener,), trunks=(trunk,))
    agent = UserAgent(settings, entropy=SeededEntropy(1), local_addresses=(local,))
    agent.handle(TrunkResolved(trunk=TRUNK, servers=server_at((PEER,), 5060, trunk.transport)), 0.0)
    return agent


def _flow(source: str) -> Flow:
    return Flow(transport=Transport.UDP, host=source, port=5060)
