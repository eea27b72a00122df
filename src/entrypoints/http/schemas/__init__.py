"""Bodies of requests and responses: msgspec structs in camelCase, with the descriptions that the reference shows."""
