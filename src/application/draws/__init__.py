"""Use cases of draws: hold one, and read what anyone needs to recompute it."""
