#!/usr/bin/env bash
# Flower, as an ordinary user, on the loopback of its host; it finds the broker by the address file in the shared home.
set -euo pipefail
exec nunatak flower --port 5555
