#!/usr/bin/env bash
# status.sh JOB: one of running, success, failed, as snakemake's --cluster-status asks for. Without it snakemake would
# wait for ever for a job that Slurm ended (time limit, memory, node).
job=$1

# The controller forgets a job minutes after its end (MinJobAge); accounting, where there is one, does not.
if answer=$(scontrol -o show job "$job" 2>&1); then
    state=$(sed -n 's/.*JobState=\([A-Z_]*\).*/\1/p' <<< "$answer")
elif [[ $answer == *"Invalid job id"* ]]; then
    state=$(sacct -X -n -P -o State -j "$job" 2> /dev/null | head -n 1)
    state=${state:-FORGOTTEN}
else
    state=NO_ANSWER
fi

case $state in
    COMPLETED) echo success ;;
    PENDING | CONFIGURING | RUNNING | COMPLETING | SUSPENDED | STOPPED | RESIZING | SIGNALING | STAGE_OUT | \
        REQUEUED | REQUEUE_FED | REQUEUE_HOLD | SPECIAL_EXIT | RESV_DEL_HOLD | NO_ANSWER) echo running ;;
    *) echo failed ;; # a job that is forgotten too: the next try finds a complete shard complete
esac
