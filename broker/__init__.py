"""The floor: the queue, its leases, the ledger and the server. Imports nothing else of ours."""
