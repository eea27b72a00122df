"""The schema: tables, types of columns, and the mapping between rows and entities."""
