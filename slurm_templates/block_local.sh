#!/bin/bash
# Block @{block_id} of site @{site}, on this machine; written by nunatak. What it says and its exit code are kept beside it.
#
# It adds nothing to the environment: jobfiles find what the user's shell had, and what worker_init and node_init do.

# Who this is, so that a later launcher finds it and never takes another process for it; in a subshell, to leave no variable behind.
( read -r stat < "/proc/$$/stat" && printf '%s\n' "$stat" > @{identity} )

# Functions that the user's shell exports: /bin/sh may have dropped them on the way here.
@{shell_functions}

# worker_init: once per block.
@{worker_init}

@{node_part}
