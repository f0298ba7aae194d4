"""Moves the listening sockets of a program to private ports (Linux, standard library only)."""
