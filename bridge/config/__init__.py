"""Settings: one YAML file, checked as a whole before anything starts, and turned into the settings of each package."""

from bridge.config.changes import take_over
from bridge.config.convert import (
    matrix_settings,
    media_policies,
    media_settings,
    secret_headers,
    sip_settings,
    trace_settings,
)
from bridge.config.doubts import warnings
from bridge.config.faults import ConfigError, Fault
from bridge.config.loading import load_config
from bridge.config.model import Config

__all__ = [
    "Config",
    "ConfigError",
    "Fault",
    "load_config",
    "matrix_settings",
    "media_policies",
    "media_settings",
    "secret_headers",
    "sip_settings",
    "take_over",
    "trace_settings",
    "warnings",
]
