#!/usr/bin/env bash
# The job array of docs/CLUSTER.md and the workflow of pipelines/snakemake on a Slurm of one node:
#   slurm_test.sh PROGRAM SCRATCH
# Needs root, Debian's slurmctld, slurmd, slurm-client and munge, and for the workflow snakemake.
# Exit code 77: skipped, and the reason. Takes a minute or two, most of it waiting for the scheduler.
set -euo pipefail
program=$(realpath "$1")
rm -rf "$2"
mkdir -p "$2"
scratch=$(realpath "$2")
# shellcheck source=tests/cluster/workload.sh
source "$(dirname "${BASH_SOURCE[0]}")/workload.sh"
# shellcheck source=tests/cluster/one_node_slurm.sh
source "$(dirname "${BASH_SOURCE[0]}")/one_node_slurm.sh"

missing=$(missing_for_slurm)
[[ -z $missing ]] || skip "a Slurm of one node lacks: ${missing//$'\n'/, }"
trap stop_slurm EXIT
start_slurm || skip "Slurm does not start on this machine (logs above)"
cd "$scratch"
make_workload
make_mortal_program
run_unsharded

# wait_for JOB: until the queue no longer has it, two minutes at most.
wait_for() {
    local try
    for try in {1..240}; do
        if [[ -z $(squeue -h -j "$1" 2> /dev/null) ]]; then return 0; fi
        sleep 0.5
    done
    squeue >&2
    fail "job $1 did not end"
}

exit_code_of() { scontrol -o show job "$1" | sed -n 's/.* ExitCode=\([0-9]*:[0-9]*\).*/\1/p'; }

# --- a job array and its merge; one task dies in the middle, and is submitted again ----------------------------------
shard_command() { # PROGRAM
    printf "exec '%s' batch --model model --task classify --sheet sheet.tsv --format tsv,bed --threads 1 %s" "$1" \
        '--progress none --shard $SLURM_ARRAY_TASK_ID/3 --resume -O shards/$SLURM_ARRAY_TASK_ID'
}
array=$(sbatch --parsable --array=1-3 --mem=500M --output=first.%a.log --wrap "$(shard_command "$scratch/mortal")")
merge=$(sbatch --parsable --mem=500M --dependency=afterany:"$array" --output=first.merge.log \
    --wrap "exec '$program' merge shards/* -O merged --force")
wait_for "$merge"
[[ $(exit_code_of "$merge") == 2:0 ]] || fail "merge of an unfinished shard: exit code $(exit_code_of "$merge")"
[[ ! -e merged/run.json ]] || fail "merged an unfinished shard"

array=$(sbatch --parsable --array=1-3 --mem=500M --output=second.%a.log --wrap "$(shard_command "$program")")
merge=$(sbatch --parsable --mem=500M --dependency=afterany:"$array" --output=second.merge.log \
    --wrap "exec '$program' merge shards/* -O merged --force")
wait_for "$merge"
cat second.*.log
same_as_one merged
echo "job array: as one run"

# --- the workflow ----------------------------------------------------------------------------------------------------
snakemake=/usr/bin/snakemake
[[ -x $snakemake ]] || skip "the job array is right; snakemake is not installed"
cat > settings.yaml <<SETTINGS
model: model
sheet: sheet.tsv
program: $scratch/mortal
options: --format tsv,bed
shards: 3
threads: 1
memory_mb: 500
report: false
SETTINGS
# CI: snakemake then asks for the state of jobs every second, else every ten.
CI=true "$snakemake" --snakefile "$workflow/Snakefile" --profile "$workflow/profiles/slurm" \
    --configfile settings.yaml > workflow.log 2>&1 < /dev/null || { cat workflow.log >&2; fail "the workflow failed"; }
grep -q "Submitted job .* with external jobid" workflow.log || fail "snakemake did not submit to Slurm"
grep -q "Trying to restart job" workflow.log || fail "the shard that died was not tried again"
same_as_one result
echo "workflow: as one run"
