"""The platform's data directory: the database with projects, builds, calls and keys, and the files beside it."""
