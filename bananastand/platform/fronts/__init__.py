"""Several platforms over one PostgreSQL database: one is active, the others forward to it and take over from it."""
