"""What drives the use cases: HTTP, the command line, the harness."""
