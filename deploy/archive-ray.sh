#!/bin/bash
# Run an archive job on a Ray cluster: archive-ray.sh HEAD:6379 /recordings /results WORKERS
# Every node needs the same version of granet-deploy[ray] and the same paths. Start the cluster with:
#   ray start --head --port=6379              # on the first machine
#   ray start --address=HEAD:6379             # on the others
# Recordings and results may be s3:// addresses: every node then needs credentials of its own, and s3fs.
set -euo pipefail
address=${1:?give the address of the cluster} source=${2:?give the recordings}
results=${3:?give the directory of the results} workers=${4:?give the number of workers}
exec granet-archive "$source" "$results" --ray "$address" --workers "$workers"
