"""LowCodeAPI's gateway as its published source has it: token, envelope, refusals, and its description of an API."""
