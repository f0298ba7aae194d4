"""Draws figures and pictures. Serves no provider in particular."""
