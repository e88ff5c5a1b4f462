#!/usr/bin/env bash
# A compute node: munged and slurmd.
set -euo pipefail
bash "$(dirname "${BASH_SOURCE[0]}")/munge.sh"
mkdir -p /run/cluster/spool
exec slurmd -D
