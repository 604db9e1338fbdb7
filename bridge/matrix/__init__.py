"""The Matrix side: application-service API, client-server calls, ghosts and portal rooms."""
