"""Loads a Potassium app of any version in the app's own interpreter and runs its handlers for whoever hosts it.

The standard library alone, from Python 3.7: it runs in environments in which nothing of ours is installed.
"""
