#!/bin/bash
# A node's part of block @{block_id}: what its srun starts, once per node. Nothing of it is exported: jobfiles do not find it.
nunatak_started=${1:-$(date +%s)} nunatak_walltime_s=@{walltime_s}
# Without the scheduler's word on the end: what was asked for.
nunatak_ends=${2:-${nunatak_walltime_s:+$((nunatak_started + nunatak_walltime_s))}}
shift "$#"
unset SLURM_EXIT_ERROR SRUN_DEBUG
# srun hands on the batch host's.
HOSTNAME=$(uname -n)
# The warning before the block's end would end this shell if it came now; a trap, unlike ignoring, ends with the shell.
trap : USR1

# node_init: on each node.
@{node_init}

set +aeu +o pipefail
nunatak_archive=@{archive}
nunatak_start=( @{command} )
# Ours goes into the node's memory: thousands of nodes that start at once must not each import from a shared filesystem.
if [ -n "$nunatak_archive" ]; then
    for nunatak_place in /dev/shm "${TMPDIR:-/tmp}" ''; do
        if [ -z "$nunatak_place" ]; then
            echo "nunatak: $HOSTNAME: $nunatak_archive could not be unpacked; starting from the shared installation" >&2
            break
        fi
        nunatak_folder=$(mktemp -d "$nunatak_place/nunatak-$UID-@{block_id}.XXXXXX") || continue
        if tar -xzf "$nunatak_archive" -C "$nunatak_folder" && IFS= read -r nunatak_python < "$nunatak_folder/python"; then
            nunatak_start=( "$nunatak_python" -I -S "$nunatak_folder" worker --block @{block_id} )
            break
        fi
        rm -rf "$nunatak_folder"
    done
fi

# In this shell's place: Slurm signals the step's task and never its children, and kills all when the task has gone.
exec env NUNATAK_HOME=@{home} NUNATAK_BLOCK_FILE="${nunatak_block_file:-}" \
    NUNATAK_BLOCK_ENDS="$nunatak_ends" NUNATAK_BLOCK_STARTED="$nunatak_started" "${nunatak_start[@]}"
