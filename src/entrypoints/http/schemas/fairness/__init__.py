"""Bodies by which customers and strangers check what the service did."""
