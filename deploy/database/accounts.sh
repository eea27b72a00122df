#!/bin/sh
# Create the two accounts of docs/operations.md in the database of compose.yaml: one migrates, the other serves.
set -eu

for password in "$MIGRATING_PASSWORD" "$SERVING_PASSWORD"; do
    case "$password" in
        '' | *[!A-Za-z0-9_-]*)
            echo "accounts.sh: passwords must have only letters, digits, - and _, because they become part of URLs" >&2
            exit 1
            ;;
    esac
done

MYSQL_PWD="$MYSQL_ROOT_PASSWORD" mysql --user=root --protocol=socket <<SQL
CREATE USER 'boxoffice_admin'@'%' IDENTIFIED BY '$MIGRATING_PASSWORD';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES
    ON \`event-ticket-booking-service\`.* TO 'boxoffice_admin'@'%';
CREATE USER 'boxoffice'@'%' IDENTIFIED BY '$SERVING_PASSWORD';
GRANT SELECT, INSERT, UPDATE, DELETE ON \`event-ticket-booking-service\`.* TO 'boxoffice'@'%';
SQL
