"""The platform's database in PostgreSQL, for more than one front. Nothing here is imported where SQLite is used."""
