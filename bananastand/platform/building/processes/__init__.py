"""Builds a Dockerfile on this machine, without a container engine."""
