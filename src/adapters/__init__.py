"""What keeps the promises of the ports: databases, memory, security."""
