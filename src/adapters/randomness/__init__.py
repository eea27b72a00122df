"""Public randomness: the beacons of drand, fetched from its relays, and their signatures. What they are for is elsewhere."""
