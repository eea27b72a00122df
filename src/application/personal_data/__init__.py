"""What is kept of a person: all of it in one document, and its erasure. No rules."""
