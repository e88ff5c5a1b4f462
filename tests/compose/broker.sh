#!/usr/bin/env bash
# Starts the broker, shows its logs, and stops it when the container is stopped.
set -euo pipefail
cd /srv/nunatak/src
.venv/bin/nunatak broker start
trap '.venv/bin/nunatak broker stop --force; exit 0' TERM INT
tail -F "$NUNATAK_HOME/server.log" "$NUNATAK_HOME/supervisor.log" &
wait
