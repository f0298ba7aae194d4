"""The platform's data: database, projects, builds, calls, keys, logs, and files."""
