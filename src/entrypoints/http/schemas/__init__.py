"""What comes in and goes out: msgspec structs in camelCase, with every description that the reference shows."""
