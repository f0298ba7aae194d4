"""Replicas: how each is started, asked and ended. Knows no queue and no project's settings."""
