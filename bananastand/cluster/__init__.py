"""Many machines: replicas on the nodes of a Ray cluster. Nothing here is imported unless a platform uses a cluster."""
