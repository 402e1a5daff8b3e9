"""The failures of the catalogue that only an external store can have, over SQLite."""
