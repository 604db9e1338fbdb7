"""The sections of the configuration that are for operators: `ops` and `logging`."""

import enum
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field, PlainValidator, SecretStr

from bridge.config import values
from bridge.config.kinds import (
    FilePath,
    Flag,
    HeaderName,
    Line,
    ListenAddress,
    Name,
    OptionalAddress,
    OptionalLocalUser,
    OptionalPath,
    OptionalToken,
    OptionalUrl,
    Password,
    SourceNetwork,
)
from bridge.config.section import Section


class LogLevel(enum.StrEnum):
    """Least important lines that are written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(enum.StrEnum):
    """How a line looks."""

    JSON = "json"
    CONSOLE = "console"


class HepConfig(Section):
    """`ops.hep`: copies of SIP messages for a Homer server."""

    server: OptionalAddress = None
    """`None` sends none."""
    capture_id: Annotated[int, Field(strict=True, ge=0, le=4_294_967_295)] = 1
    password: Password = SecretStr("")
    password_file: OptionalPath = None


class ConsoleConfig(Section):
    """`ops.console`: a web page on the ops port. Off unless somebody can log in."""

    token: OptionalToken = SecretStr("")
    token_file: OptionalPath = None
    proxies: tuple[SourceNetwork, ...] = ()
    user_header: HeaderName = "X-Forwarded-Email"

    @property
    def is_on(self) -> bool:
        """Whether anybody can log in."""
        return bool(self.token.get_secret_value() or self.proxies)


class TelemetryConfig(Section):
    """`ops.telemetry`: each call as a trace, for an OpenTelemetry collector."""

    otlp_url: OptionalUrl = ""
    """Empty sends none."""


class TestCallsConfig(Section):
    """`ops.test_calls`: calls that try out the bridge."""

    __test__ = False

    caller: OptionalLocalUser = ""
    """Empty is the bridge's own user."""
    every_s: Annotated[float, PlainValidator(values.parse_interval)] = 0.0
    """0 never."""
    number: Line = ""
    """Empty is an echo of the bridge's own."""
    required: Flag = False


class AdminConfig(Section):
    """`ops.admin`: an HTTP API on the ops port. Off unless there is a token."""

    tokens: Annotated[Mapping[Name, FilePath], Field(max_length=100)] = Field(default_factory=dict)
    """Files, by the names of those who know what they hold."""


class OpsConfig(Section):
    """`ops`: metrics, health, call records, traces and the console."""

    listen: ListenAddress = values.Address(host="127.0.0.1", port=9464)
    call_records: OptionalPath = Path("call-records.jsonl")
    """`None` writes no records."""
    record_numbers: Flag = False
    record_days: Annotated[float, Field(strict=True, gt=0, le=36_500, allow_inf_nan=False)] = 90.0
    trace_days: Annotated[float, Field(strict=True, ge=0, le=3_650, allow_inf_nan=False)] = 7.0
    trace_mb: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] = 500
    hep: HepConfig = HepConfig()
    console: ConsoleConfig = ConsoleConfig()
    admin: AdminConfig = AdminConfig()
    test_calls: TestCallsConfig = TestCallsConfig()
    telemetry: TelemetryConfig = TelemetryConfig()


class LoggingConfig(Section):
    """`logging`."""

    level: LogLevel = LogLevel.INFO
    format: LogFormat = LogFormat.JSON
