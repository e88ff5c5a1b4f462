# One srun per node: a node that dies or reboots ends its own only. None is given its processors by name or number: a node is wholly ours,
# and what a user's `#SBATCH --cpus-per-task` or the site's export rules leave in the environment would bind or empty the nodes' part.
unset SLURM_EXPORT_ENV SLURM_CPUS_PER_TASK SRUN_CPUS_PER_TASK

# Read once here, and not by each node; handed on in the environment, where nobody else sees it, and taken out of it there.
nunatak_text=$(< @{node_script})
nunatak_block_file=$(cat @{block_file} 2> /dev/null)
nunatak_begin='nunatak_text=$NUNATAK_NODE_SCRIPT nunatak_block_file=$NUNATAK_BLOCK_FILE
unset NUNATAK_NODE_SCRIPT NUNATAK_BLOCK_FILE
eval "$nunatak_text"'

# NODE: its exit code. 213 is srun's own failure; in the first minutes it is tried again, for a scheduler that is away may come back.
nunatak_node() {
    local nunatak_code
    while :; do
        SLURM_EXIT_ERROR=213 NUNATAK_NODE_SCRIPT=$nunatak_text NUNATAK_BLOCK_FILE=$nunatak_block_file \
            srun --nodes=1 --ntasks=1 --nodelist="$1" --no-kill --kill-on-bad-exit=0 --wait=0 --cpu-bind=none --mpi=none \
            /bin/bash -c "$nunatak_begin" nunatak "$nunatak_started" "$nunatak_ends" < /dev/null
        nunatak_code=$?
        if [ "$nunatak_code" != 213 ] || [ "$SECONDS" -gt 300 ]; then
            return "$nunatak_code"
        fi
        sleep 30
    done
}

# PID: its exit code, however often a signal ends the waiting.
nunatak_wait() {
    local nunatak_code nunatak_lives=1
    while [ -n "$nunatak_lives" ]; do
        # Asked before the waiting: if a signal comes in the moment of the end, one more round hears how that was.
        kill -0 "$1" 2> /dev/null || nunatak_lives=
        wait "$1"
        nunatak_code=$?
        [ "$nunatak_code" -gt 128 ] || break
    done
    return "$nunatak_code"
}

nunatak_nodes=( $(scontrol show hostnames "$SLURM_JOB_NODELIST") )
nunatak_pids=()
for nunatak_name in "${nunatak_nodes[@]}"; do
    [ -n "$nunatak_asked" ] && break
    nunatak_node "$nunatak_name" &
    nunatak_pids+=( $! )
    # The controller serves all users: at most 20 steps a second.
    sleep 0.05
done

nunatak_good=
nunatak_code=1
for nunatak_i in "${!nunatak_pids[@]}"; do
    nunatak_wait "${nunatak_pids[nunatak_i]}"
    nunatak_code=$?
    if [ "$nunatak_code" = 0 ]; then
        nunatak_good=1
    else
        nunatak_bad+="${nunatak_bad:+ }${nunatak_nodes[nunatak_i]}:$nunatak_code"
    fi
done
# Nodes that were lost are no failure of the block; a block of which no node ended well is one.
[ -n "$nunatak_good" ] && exit 0
exit "$nunatak_code"
