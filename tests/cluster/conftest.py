"""The clusters that these tests are about."""

from cluster.fixtures import cluster, new_cluster, session_cluster, shared_cluster

__all__ = ["cluster", "new_cluster", "session_cluster", "shared_cluster"]
