"""Background tasks: sweeps, deliveries, and the verification of the promises."""
