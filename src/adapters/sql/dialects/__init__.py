"""What differs between MySQL, MariaDB and SQLite. No other folder asks which database it is."""
