"""A name server with records of the test's own, over UDP on the loopback address."""

import asyncio
from typing import Self

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

LOOPBACK = "127.0.0.1"


class NameServer(asyncio.DatagramProtocol):
    """`async with` starts and stops it. Names without records do not exist."""

    def __init__(self) -> None:
        self.address = ("", 0)
        self.asked: list[tuple[str, str]] = []
        self.failing = False
        """Answer SERVFAIL."""
        self.silent = False
        self._records: dict[tuple[dns.name.Name, dns.rdatatype.RdataType], dns.rrset.RRset] = {}
        self._transport: asyncio.DatagramTransport | None = None

    def add(self, name: str, kind: str, *values: str, ttl: int = 60) -> None:
        """Records of one name and type, in the form of a zone file."""
        owner = dns.name.from_text(name)
        found = dns.rrset.from_text_list(owner, ttl, "IN", kind, list(values))
        self._records[owner, dns.rdatatype.from_text(kind)] = found

    def remove(self, name: str, kind: str) -> None:
        """The opposite."""
        del self._records[dns.name.from_text(name), dns.rdatatype.from_text(kind)]

    def count(self, name: str, kind: str) -> int:
        """How often something was asked for."""
        return self.asked.count((name, kind))

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(LOOPBACK, 0))
        self.address = self._transport.get_extra_info("sockname")[:2]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str | None, int]) -> None:
        query = dns.message.from_wire(data)
        asked = query.question[0]
        self.asked.append((asked.name.to_text(omit_final_dot=True), dns.rdatatype.to_text(asked.rdtype)))
        if not self.silent and self._transport is not None:
            self._transport.sendto(self._answer(query).to_wire(max_size=65_535, want_shuffle=False), addr)

    def _answer(self, query: dns.message.Message) -> dns.message.Message:
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        if self.failing:
            response.set_rcode(dns.rcode.SERVFAIL)
            return response
        name, kind = query.question[0].name, query.question[0].rdtype
        if not any(owner == name for owner, _ in self._records):
            response.set_rcode(dns.rcode.NXDOMAIN)
        self._fill(response, name, kind)
        return response

    def _fill(self, response: dns.message.Message, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> None:
        """With the records, or with the aliases that lead to them."""
        for _ in range(20):
            records = self._records.get((name, kind))
            alias = self._records.get((name, dns.rdatatype.CNAME))
            if records is not None:
                response.answer.append(records)
                return
            if alias is None:
                return
            response.answer.append(alias)
            name = alias[0].target
