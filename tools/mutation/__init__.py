"""Mutation testing of the mocks and the clients. `python -m tools.mutation` runs it."""
