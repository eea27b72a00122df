"""The door: scans of tickets, and what scanners need. Codes are read in `tickets`."""
