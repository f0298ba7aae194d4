"""The fidelity page, and the evidence behind it."""
