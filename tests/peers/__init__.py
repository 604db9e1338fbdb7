"""Real SIP peers for tests: started on free loopback ports, waited for until ready, ended by their process id."""
