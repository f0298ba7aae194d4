"""Banana.dev's API: contracts, operations, errors and the HTTP services, over a `Runtime` that runs the models.

banana.yaml, bananadev.yaml    the contracts: Banana's own API, and Banana.dev as LowCodeAPI offers it
native, gateway                what is particular to each of the two: operations by heading, keys, errors
queue, projects, inference     operations of Banana's own API
runs, models, account, usage, deployments    operations behind LowCodeAPI
runtime                        the protocol that the operations call, and the values it returns
service, build_log             HTTP and the websocket of a build's log
"""
