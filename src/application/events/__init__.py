"""Use cases of events: initialize, change, and the queries about them."""
