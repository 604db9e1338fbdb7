"""What is counted of SIP messages: by the method of the request, and by the class of the status."""

from typing import Literal

from bridge.sip.actions import Count, Flow
from bridge.sip.capabilities import METHODS
from bridge.sip.message import Request, Response

Way = Literal["in", "out"]


def request_count(request: Request, flow: Flow, direction: Way) -> Count:
    """A request that is no repetition, or may be one: nobody has looked yet."""
    labels = {"method": _label(request.method), "direction": direction, "transport": flow.transport.value}
    return Count(name="sip_requests_total", labels=labels)


def response_count(response: Response, method: str, direction: Way) -> Count:
    """A response to a request of this method."""
    labels = {"method": _label(method), "direction": direction, "status_class": f"{response.status // 100}xx"}
    return Count(name="sip_responses_total", labels=labels)


def retransmission_count(method: str, direction: Way) -> Count:
    """A message that its transaction repeats, or has had before."""
    return Count(name="sip_retransmissions_total", labels={"direction": direction, "method": _label(method)})


def _label(method: str) -> str:
    """A method as a metrics label: a peer's inventions share one."""
    return method if method in METHODS else "other"
