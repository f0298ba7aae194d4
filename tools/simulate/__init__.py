"""Deterministic simulation of the platform: the real dispatcher, pool, autoscaler and database, in virtual time.

`python -m tools.simulate --seeds 1000` runs the seeds 0 to 999. Replicas, the disk, the clock and callers are fakes
that misbehave; what happens, and in which order, follows from the seed alone.
"""
