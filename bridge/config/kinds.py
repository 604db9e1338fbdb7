"""Kinds of values that settings have, each with the parser that words its faults for an admin."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, SecretStr, ValidationInfo

from bridge.config import identities, values
from bridge.core.ids import TrunkName
from bridge.media.formats import Codec
from bridge.media.ice_servers import StunServer, TurnServer
from bridge.media.policy import SrtpUse
from bridge.sip.settings import Listener, Network

DEFAULT_REGION = "US"


def _region(info: ValidationInfo) -> str:
    """Whose national numbers are understood: the context of the validation, because it is set in another section."""
    return info.context if isinstance(info.context, str) else DEFAULT_REGION


def _number(value: object, info: ValidationInfo) -> str:
    return identities.parse_number(value, _region(info))


def _called(value: object, info: ValidationInfo) -> str:
    return identities.parse_called(value, _region(info))


def _optional_number(value: object, info: ValidationInfo) -> str:
    return identities.parse_optional_number(value, _region(info))


def _optional_user(value: object) -> str:
    return "" if value == "" else identities.parse_user_id(value)


def _caller_id(value: object, info: ValidationInfo) -> str:
    return identities.parse_caller_id(value, _region(info))


def _prefix(value: object, info: ValidationInfo) -> str:
    return identities.parse_prefix(value, _region(info))


Text = Annotated[str, PlainValidator(values.text)]
Line = Annotated[str, PlainValidator(values.line)]
Flag = Annotated[bool, Field(strict=True)]
Seconds = Annotated[float, Field(strict=True, gt=0, le=86_400, allow_inf_nan=False)]
SecondsOrNever = Annotated[float, Field(strict=True, ge=0, le=86_400, allow_inf_nan=False)]
"""A time limit whose 0 means that there is none."""
KeepAliveSeconds = Annotated[float, PlainValidator(values.parse_keep_alive)]
Url = Annotated[str, PlainValidator(values.parse_url)]
OptionalUrl = Annotated[str, PlainValidator(values.parse_optional_url)]
ServerName = Annotated[str, PlainValidator(identities.parse_server_name)]
LocalUser = Annotated[str, PlainValidator(identities.parse_user_id)]
OptionalLocalUser = Annotated[str, PlainValidator(_optional_user)]
Who = Annotated[str, PlainValidator(identities.parse_who)]
Callers = Annotated[str, PlainValidator(identities.parse_callers)]
ListenAddress = Annotated[values.Address, PlainValidator(values.parse_address)]
ServerAddress = Annotated[values.Address, PlainValidator(values.parse_server_address)]
TrunkServer = Annotated[values.Address, PlainValidator(values.parse_server)]
OptionalAddress = Annotated[values.Address | None, PlainValidator(values.parse_optional_address)]
OptionalServer = Annotated[values.Address | None, PlainValidator(values.parse_optional_server)]
SipListener = Annotated[Listener, PlainValidator(values.parse_listener)]
SourceNetwork = Annotated[Network, PlainValidator(values.parse_network)]
OptionalHost = Annotated[str, PlainValidator(values.parse_optional_host)]
Ip = Annotated[str, PlainValidator(values.parse_ip)]
OutsideIps = Annotated[tuple[str, ...], PlainValidator(values.parse_outside_ips)]
StunAddress = Annotated[StunServer, PlainValidator(values.parse_stun_server)]
TurnUri = Annotated[TurnServer, PlainValidator(values.parse_turn_uri)]
Number = Annotated[str, PlainValidator(_number)]
CalledNumber = Annotated[str, PlainValidator(_called)]
OptionalNumber = Annotated[str, PlainValidator(_optional_number)]
ShortCode = Annotated[str, PlainValidator(identities.parse_short_code)]
Prefix = Annotated[str, PlainValidator(_prefix)]
Region = Annotated[str, PlainValidator(identities.parse_region)]
OptionalRegion = Annotated[str, PlainValidator(identities.parse_optional_region)]
Language = Annotated[str, PlainValidator(identities.parse_language)]
TimeZone = Annotated[str, PlainValidator(identities.parse_time_zone)]
NumberPrefix = Annotated[str, PlainValidator(identities.parse_number_prefix)]
Price = Annotated[int, PlainValidator(identities.parse_rate)]
NumberPattern = Annotated[str, PlainValidator(identities.parse_pattern)]
OptionalPrice = Annotated[str, PlainValidator(identities.parse_optional_price)]
Minutes = Annotated[float, Field(strict=True, ge=0, le=1_000_000, allow_inf_nan=False)]
CallerId = Annotated[str, PlainValidator(_caller_id)]
Ports = Annotated[values.PortRange, PlainValidator(values.parse_port_range)]


def _no_spaces(word: str) -> str:
    if any(not 0x21 <= ord(character) <= 0x7E for character in word):
        raise ValueError("must not contain spaces or special characters")
    return word


def _localpart(value: object) -> str:
    """Synapse refuses a sender whose localpart changes when it is URL-quoted, so these characters are all there is."""
    word = values.text(value)
    if not word or any(c not in "abcdefghijklmnopqrstuvwxyz0123456789._-" for c in word):
        raise ValueError(f"expected a-z, 0-9, '.', '_' and '-' only, found '{word}'")
    return word


def _secret(value: object) -> SecretStr:
    """Faults do not show secrets: a password of digits is a number to YAML, and a password all the same."""
    if isinstance(value, SecretStr):
        return value
    if not isinstance(value, str):
        raise ValueError("expected text: put it in quotes")
    return SecretStr(value)


def _token(value: object) -> SecretStr:
    secret = _secret(value)
    if len(secret.get_secret_value()) < 16:
        raise ValueError("must have at least 16 characters: anybody who guesses it can speak for the homeserver")
    _no_spaces(secret.get_secret_value())
    return secret


def _optional_token(value: object) -> SecretStr:
    secret = _secret(value)
    _no_spaces(secret.get_secret_value())
    return secret


def _header_lines(value: object) -> SecretStr:
    secret = _secret(value)
    values.parse_header_lines(secret.get_secret_value())
    return secret


def _header_name(value: object) -> str:
    return values.header_name(values.text(value))


Localpart = Annotated[str, PlainValidator(_localpart)]
Word = Annotated[str, BeforeValidator(values.text), AfterValidator(_no_spaces), Field(min_length=1, max_length=255)]
Token = Annotated[SecretStr, PlainValidator(_token)]
OptionalToken = Annotated[SecretStr, PlainValidator(_optional_token)]
Password = Annotated[SecretStr, PlainValidator(_secret)]
HeaderName = Annotated[str, PlainValidator(_header_name)]
HeaderLines = Annotated[SecretStr, PlainValidator(_header_lines)]
FilePath = Annotated[Path, PlainValidator(values.parse_path)]
OptionalMxc = Annotated[str, PlainValidator(identities.parse_optional_mxc)]
OptionalPath = Annotated[Path | None, PlainValidator(values.parse_optional_path)]
Name = Annotated[TrunkName, PlainValidator(identities.parse_trunk_name)]


def _trunk_codec(value: object) -> Codec:
    """A codec by its name in descriptions, in whatever case."""
    name = values.text(value).upper()
    if name not in tuple(Codec):
        raise ValueError(f"expected one of {', '.join(Codec)}, found '{values.text(value)}'")
    return Codec(name)


def _off(value: object) -> object:
    """The word as YAML reads it without quotes."""
    return "off" if value is False else value


Srtp = Annotated[SrtpUse, BeforeValidator(_off)]
TrunkCodec = Annotated[Codec, PlainValidator(_trunk_codec)]
