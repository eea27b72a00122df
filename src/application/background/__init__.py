"""What runs by itself: sweeps, deliveries, the verification of the promises."""
