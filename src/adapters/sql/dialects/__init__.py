"""What differs between MySQL, MariaDB and SQLite, except the syntax of bulk statements (`bulk.features`)."""
