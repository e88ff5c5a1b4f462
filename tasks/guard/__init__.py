"""The guard: one process per node that owns the jobfiles' processes. Standard library only."""
