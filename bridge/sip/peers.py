"""Whose messages are read although no trunk names them: peers of open dialogs, and of requests that we sent.

A message is dropped before any parsing when nobody expects one from its address. A trunk may hand a call to a proxy or
a gateway of another address, though, or move to one while a request of ours is under way.
"""

from collections import Counter

from bridge.core.addresses import canonical_host, is_numeric
from bridge.sip.actions import Action, LookUp


class Peers:
    """How many dialogs and requests have to do with each host; a name counts for the addresses that it has."""

    def __init__(self, actions: list[Action]) -> None:
        self._actions = actions
        self._met: Counter[str] = Counter()
        self._found: dict[str, frozenset[str]] = {}

    def __contains__(self, host: str) -> bool:
        return canonical_host(host) in self._met

    def meet(self, host: str) -> None:
        """A dialog or request with this host has begun."""
        host = canonical_host(host)
        self._met[host] += 1
        if self._met[host] == 1 and not is_numeric(host):
            self._actions.append(LookUp(host=host))

    def part(self, host: str) -> None:
        """One that was met is over."""
        host = canonical_host(host)
        self._met[host] -= 1
        if self._met[host] <= 0:
            del self._met[host]
            for address in self._found.pop(host, ()):
                self.part(address)

    def find(self, name: str, addresses: tuple[str, ...]) -> None:
        """The addresses of a host that was met by name; those that it had before count no longer."""
        name = canonical_host(name)
        if name not in self._met or is_numeric(name):
            return
        before = self._found.get(name, frozenset())
        self._found[name] = now = frozenset(canonical_host(address) for address in addresses)
        for address in now - before:
            self.meet(address)
        for address in before - now:
            self.part(address)
