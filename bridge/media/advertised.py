"""Addresses as the outside knows them, when a NAT stands before this machine."""


def advertised(host: str, outside: tuple[str, ...]) -> str:
    """What is written in the place of a local address: that of the same version of IP, else the address itself."""
    return next((known for known in outside if (":" in known) == (":" in host)), host)
