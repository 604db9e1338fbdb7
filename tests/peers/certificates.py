"""Certificates for tests: an authority of their own, and what it vouches for, good or bad."""

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LOOPBACK = ("127.0.0.1", "::1", "localhost")
_DAY = datetime.timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The files of one party."""

    certificate: Path
    private_key: Path

    @property
    def both(self) -> Path:
        """Certificate and key in one file, as baresip wants them."""
        path = self.certificate.with_suffix(".both.pem")
        path.write_bytes(self.certificate.read_bytes() + self.private_key.read_bytes())
        path.chmod(0o600)
        return path


class Authority:
    """Issues certificates; `ca_file` makes others believe them."""

    def __init__(self, directory: Path, name: str = "Test Authority") -> None:
        self._directory = directory
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        certificate = _signed(_builder(self._name, self._name, self._key, is_ca=True), self._key)
        self.ca_file = directory / f"{name.replace(' ', '-')}.pem"
        self.ca_file.write_bytes(certificate)

    def issue(self, *names: str, file: str = "peer", expired: bool = False, days: int = 30) -> Identity:
        """A certificate for host names and addresses; the loopback addresses if none are given."""
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, (names or LOOPBACK)[0])])
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(subject, self._name, key, is_ca=False, days=-1 if expired else days)
        alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names or LOOPBACK])
        return self._written(file, _signed(builder.add_extension(alternatives, critical=False), self._key), key)

    def _written(self, file: str, certificate: bytes, key: ec.EllipticCurvePrivateKey) -> Identity:
        identity = Identity(
            certificate=self._directory / f"{file}.crt.pem", private_key=self._directory / f"{file}.key.pem"
        )
        identity.certificate.write_bytes(certificate)
        identity.private_key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        identity.private_key.chmod(0o600)
        return identity


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, *, is_ca: bool, days: int = 30
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 30 * _DAY)
        .not_valid_after(now + days * _DAY)
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
    )


def _signed(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> bytes:
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
