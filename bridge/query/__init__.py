"""OSCQuery: the address table as a tree over HTTP, values over WebSocket, and the announcement (facts/daw.md §1.8).

:mod:`~bridge.query.tree` turns the table into JSON, :mod:`~bridge.query.server` serves it and takes OSC packets in over
WebSockets, :mod:`~bridge.query.guard` keeps web pages from elsewhere out, :mod:`~bridge.query.announce` tells the
network where all of it is, if the package ``zeroconf`` is installed.
"""
