"""Digest authentication, the client's side (RFC 7616 and RFC 8760, RFC 2617 for trunks without `qop`; RFC 3261 §22)."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bridge.sip.errors import LocalSipError, SipError
from bridge.sip.grammar import QUOTED, TOKEN, check_sendable, quote, split_list, unquote

MAX_DIRECTIVES = 100
"""Of the challenges in one value; nobody needs twenty for one."""

_DIRECTIVE = re.compile(rf"(?:({TOKEN})[ \t]+)?({TOKEN})[ \t]*=[ \t]*({QUOTED}|[!#-+\--\[\]-~]*)")

_HASHES = {"md5": "md5", "sha-256": "sha256", "sha-512-256": "sha512_256"}
"""Algorithms of RFC 8760 §2.1 and their names in hashlib; each also as `-sess`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """One Digest challenge of a WWW-Authenticate or Proxy-Authenticate header."""

    realm: str
    nonce: str
    algorithm: str = ""
    """As spelled by the server; empty is MD5 (RFC 7616 §3.3)."""
    qop: tuple[str, ...] = ()
    """Offered qualities of protection in lower case; empty is a server of RFC 2069."""
    opaque: str | None = None
    stale: bool = False
    """The nonce was too old but the password may be right: try again without asking anyone (RFC 7616 §3.3)."""
    proxy: bool = False
    """Asked for by a proxy (407): the credentials go into Proxy-Authorization."""

    @classmethod
    def parse_all(cls, values: Iterable[str], *, proxy: bool = False) -> list["Challenge"]:
        """All Digest challenges, topmost first.

        Other schemes are passed over (RFC 3261 §22.1), and so is what cannot be read: it cannot be answered either, and
        must not keep us from the challenge below it.
        """
        return [
            cls._from_directives(directives, proxy)
            for value in values
            for scheme, directives in _split_challenges(value)
            if scheme == "digest" and "realm" in directives and "nonce" in directives
        ]

    @classmethod
    def _from_directives(cls, directives: Mapping[str, str], proxy: bool) -> "Challenge":
        qop = directives.get("qop", "").lower().replace(" ", "").split(",")
        return cls(
            realm=directives["realm"],
            nonce=directives["nonce"],
            algorithm=directives.get("algorithm", ""),
            qop=tuple(item for item in qop if item),
            opaque=directives.get("opaque"),
            stale=directives.get("stale", "").lower() == "true",
            proxy=proxy,
        )

    @property
    def credentials_header(self) -> str:
        """The header that answers this challenge."""
        return "Proxy-Authorization" if self.proxy else "Authorization"

    @property
    def supported(self) -> bool:
        """Whether we can answer: a hash that we have, and `auth` or no `qop` at all (`auth-int` alone is not done)."""
        return _hash_name(self.algorithm) is not None and (not self.qop or "auth" in self.qop)


def choose(challenges: Iterable[Challenge], *, realm: str = "") -> Challenge | None:
    """The topmost challenge that we can answer (RFC 8760 §2.4), of one realm when it is given.

    Credentials go to no other realm than the configured one: whoever asks with his own realm gets nothing.
    """
    return next((item for item in challenges if item.supported and realm in ("", item.realm)), None)


def authorization(
    challenge: Challenge, *, method: str, uri: str, username: str, password: str, cnonce: str, nc: int
) -> str:
    """The value of Authorization or Proxy-Authorization; `uri` is the Request-URI as sent (RFC 7616 §3.4)."""
    for text in (username, uri, cnonce, method):
        check_sendable(text)
    fields = [
        f"username={quote(username)}",
        f"realm={quote(challenge.realm)}",
        f"nonce={quote(challenge.nonce)}",
        f"uri={quote(uri)}",
        *_proof(challenge, f"{method}:{uri}", username, password, cnonce, nc),
    ]
    if challenge.algorithm:
        fields.append(f"algorithm={challenge.algorithm}")
    if challenge.opaque is not None:
        fields.append(f"opaque={quote(challenge.opaque)}")
    return "Digest " + ", ".join(fields)


def _proof(challenge: Challenge, request: str, username: str, password: str, cnonce: str, nc: int) -> list[str]:
    """The response and what the server needs to compute it (RFC 7616 §3.4.1, RFC 2617 §3.2.2.1)."""
    session = challenge.algorithm.lower().endswith("-sess")
    secret = _secret(challenge, username, password, cnonce if session else None)
    digest = _digest(challenge, request)
    if challenge.qop:
        count = f"{nc:08x}"
        response = _digest(challenge, f"{secret}:{challenge.nonce}:{count}:{cnonce}:auth:{digest}")
        return [f'response="{response}"', f"cnonce={quote(cnonce)}", f"nc={count}", "qop=auth"]
    response = _digest(challenge, f"{secret}:{challenge.nonce}:{digest}")
    return [f'response="{response}"', *([f"cnonce={quote(cnonce)}"] if session else [])]


def _secret(challenge: Challenge, username: str, password: str, session_cnonce: str | None) -> str:
    """H(A1), with the nonces mixed in for the `-sess` algorithms (RFC 7616 §3.4.2)."""
    secret = _digest(challenge, f"{username}:{challenge.realm}:{password}")
    if session_cnonce is None:
        return secret
    return _digest(challenge, f"{secret}:{challenge.nonce}:{session_cnonce}")


def _digest(challenge: Challenge, text: str) -> str:
    name = _hash_name(challenge.algorithm)
    if name is None:
        raise LocalSipError("challenge with an unsupported algorithm")
    return hashlib.new(name, text.encode(errors="replace"), usedforsecurity=False).hexdigest()


def _hash_name(algorithm: str) -> str | None:
    name = _HASHES.get((algorithm.lower() or "md5").removesuffix("-sess"))
    return name if name in hashlib.algorithms_available else None


def _split_challenges(value: str) -> list[tuple[str, dict[str, str]]]:
    """Scheme and directives of each challenge; several may share one value (RFC 9110 §11.6.1)."""
    challenges: list[tuple[str, dict[str, str]]] = []
    for element in _elements(value):
        found = _DIRECTIVE.fullmatch(element)
        scheme, name, text = found.groups() if found else (element.partition(" ")[0], "", "")
        if scheme:
            challenges.append((scheme.lower(), {}))
        if challenges and name:
            challenges[-1][1].setdefault(name.lower(), unquote(text))
    return challenges


def _elements(value: str) -> list[str]:
    try:
        return [element for element in split_list(value)[:MAX_DIRECTIVES] if element]
    except SipError:
        return []  # Quotes without an end: nothing in it can be told apart.
