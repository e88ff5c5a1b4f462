#!/usr/bin/env bash
# The controller's host: munged and slurmctld.
set -euo pipefail
bash "$(dirname "${BASH_SOURCE[0]}")/munge.sh"
mkdir -p /run/cluster/state
exec slurmctld -D
