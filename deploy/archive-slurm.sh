#!/bin/bash
# Work on a planned archive job with 20 array tasks: sbatch archive-slurm.sh /results /results/model.onnx
# Plan the job first: granet-archive /recordings /results --model /results/model.onnx --plan-only
# /results may be s3://BUCKET/results: tasks then need AWS_PROFILE, and room in TMPDIR for twice the longest result.
# A task that is requeued continues; results exist once, however often a task runs.
#SBATCH --job-name=granet-archive
#SBATCH --array=0-19
#SBATCH --cpus-per-task=4
#SBATCH --mem=8G
#SBATCH --requeue
set -euo pipefail
results=${1:?give the directory of the results}
model=${2:?give the model}
# Slurm sets SLURM_ARRAY_TASK_ID and SLURM_ARRAY_TASK_COUNT, from which the worker takes its share.
exec granet-archive worker "$results" --model "$model"
