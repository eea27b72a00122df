"""Public randomness: drand's beacons and their signatures. What a draw does with them is elsewhere."""
