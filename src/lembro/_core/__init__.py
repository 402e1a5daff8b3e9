"""The core: what happens to a session. Pure: no I/O, no clock, no framework."""
