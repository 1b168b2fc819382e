"""Segue's bridge: OSC, the session, supervision of the engine and audio processes, and the command line."""
