"""Values without an identity: money, names, addresses, and the checks of single fields."""
