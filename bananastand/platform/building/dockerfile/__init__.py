"""Reads Dockerfiles: instructions, shell lines, and what starts the app."""
