"""Replicas: their start, isolation, health checks, requests and end."""
