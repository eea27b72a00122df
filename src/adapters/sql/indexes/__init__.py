"""Tables that serve as indexes: for searches of events, and for places on waiting lists."""
