"""Brings calls to replicas: queues, attempts, outcomes, and how many replicas a project has.

`dispatcher` accepts calls, `call_runner` assigns them to replicas, `attempts` makes one attempt, `recorder` records how
a call ended, `scaling_loop` applies what `autoscaler` decides.
"""
