"""What drives the use cases: HTTP, the command line, the test harness. Only `container` imports adapters."""
