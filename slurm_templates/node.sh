# node_init: on each node.
@{node_init}

# In this shell's place: signals must reach the worker, and nobody hands them on.
exec @{command}
