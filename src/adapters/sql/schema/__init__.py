"""The schema: tables, column types, and the mapping between rows and entities."""
