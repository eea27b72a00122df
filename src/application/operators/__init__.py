"""Use cases of operators: disable and enable accounts, grant roles, list accounts. They have no users to check."""
