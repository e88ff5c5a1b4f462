#!/usr/bin/env bash
# Starts munged, which proves to Slurm who asks, unless it runs; every host has its own, all with the key in /etc/munge.
set -euo pipefail
pid=/run/munge/munged.pid
if [[ -e $pid ]] && kill -0 "$(<"$pid")" 2>/dev/null; then exit 0; fi
mkdir -p /run/munge /run/cluster
munged --force --key-file=/etc/munge/munge.key --socket=/run/munge/munge.socket.2 --pid-file="$pid" \
  --log-file=/run/cluster/munged.log --seed-file=/run/cluster/munged.seed --num-threads=2
