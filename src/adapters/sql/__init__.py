"""The SQL adapter: one schema for MySQL, MariaDB and SQLite. Differences between them are in `dialects` only."""
