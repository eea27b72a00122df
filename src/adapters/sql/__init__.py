"""One set of tables for MySQL, MariaDB and SQLite; `mysql` and `sqlite` hold only what differs."""
