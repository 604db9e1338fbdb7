"""Calls as traces of OpenTelemetry, for collectors that take OTLP over HTTP: an optional extra."""
