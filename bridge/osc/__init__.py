"""OSC: a strict parser of our own, the declarative address table, and the UDP endpoint (facts/daw.md §1)."""
