"""The core: decides what happens to a session. It uses no I/O, no clock and no framework."""
