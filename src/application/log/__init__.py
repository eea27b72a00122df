"""Events' logs: their key, and what is read of them. The work in the background that makes them is in `background`."""
