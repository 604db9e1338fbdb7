"""The console: a web page for operators on the ops port, rendered here and kept current by server-sent events."""
