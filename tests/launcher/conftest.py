"""Clusters for the tests of Slurm's blocks."""

from cluster.fixtures import cluster, new_cluster, session_cluster, shared_cluster

__all__ = ["cluster", "new_cluster", "session_cluster", "shared_cluster"]
