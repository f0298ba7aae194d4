"""Loads a Potassium app of any version in the app's own interpreter and runs its handlers for whoever hosts it.

It uses the standard library only, from Python 3.7: it runs in environments where Bananastand is not installed.
"""
