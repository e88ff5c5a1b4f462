#!/bin/bash -l
# Block @{block_id} of site @{site}; written by nunatak. What it says is kept beside it.
#
# A login shell: `module` and the user's profile are there, whether a person, a program or cron submitted it.
@{options}

nunatak_folder=@{folder}

# A block runs once. Somebody may submit this script by hand, or tell the scheduler to start it again.
if [ -e "$nunatak_folder/ended" ]; then
    echo "nunatak: block @{block_id} has ended; submit another one" >&2
    exit 1
fi

# How it ended, for launchers that come when the scheduler has forgotten it. One rename, so that nobody reads the half of it.
nunatak_bad=
nunatak_end() {
    printf 'exit_code=%s\nended_at=%s\nbad_nodes=%s\n' "$1" "$(date +%s)" "$nunatak_bad" > "$nunatak_folder/ended.new" &&
        mv -f "$nunatak_folder/ended.new" "$nunatak_folder/ended"
}
trap 'nunatak_end $?' EXIT

# At a cancel and at the walltime's end the nodes hear it by themselves, and hand back what they run; this script outlives them.
nunatak_asked=
trap 'nunatak_asked=1' TERM INT HUP USR1 USR2

# The scheduler's own word on when this ends; without it, what was asked for. A scheduler that is away must not hold the block up.
nunatak_started=$(date +%s)
nunatak_ends=@{walltime_s}
nunatak_ends=${nunatak_ends:+$((nunatak_started + nunatak_ends))}
nunatak_times=$(SLURM_TIME_FORMAT=%s timeout 30 squeue -h -j "$SLURM_JOB_ID" -o '%S %e' 2> /dev/null)
if [[ $nunatak_times =~ ^([0-9]+)\ ([0-9]+)$ ]]; then
    nunatak_started=${BASH_REMATCH[1]} nunatak_ends=${BASH_REMATCH[2]}
fi
printf 'job_id=%s\nhost=%s\nstarted_at=%s\nends_at=%s\n' "$SLURM_JOB_ID" "$HOSTNAME" "$nunatak_started" "$nunatak_ends" \
    > "$nunatak_folder/started.new" && mv -f "$nunatak_folder/started.new" "$nunatak_folder/started"

# A profile that says nothing of it would leave each program to its own idea of letters.
export LANG="${LANG:-C.UTF-8}"

# worker_init: once per block. Jobfiles find the environment that it leaves.
@{worker_init}

# What it may have switched on in this shell would end it with the first node that ends badly.
set +aeu +o pipefail
@{node_part}
