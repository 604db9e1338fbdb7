"""Two real calls on one machine: a homeserver, Trunkline, a phone and a Matrix caller, all started from here."""
