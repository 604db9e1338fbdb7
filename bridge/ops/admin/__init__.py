"""The admin API: numbers, permissions, people, calls and trunks for programs, as JSON over HTTP."""
