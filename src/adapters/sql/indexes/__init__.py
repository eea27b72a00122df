"""Tables that serve as indexes: searching events by text, counting places in a waiting list."""
