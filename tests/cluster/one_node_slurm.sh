#!/usr/bin/env bash
# Sourced by slurm_test.sh: a Slurm of one node, from Debian's packages, with ports, keys and state of its own, beside
# whatever the machine has. Needs root: slurmd starts jobs as their users. No cgroups and no systemd.

missing_for_slurm() { # prints what is missing, or nothing
    local command
    [[ $(id -u) -eq 0 ]] || echo "root"
    for command in munged slurmctld slurmd sbatch scontrol; do
        [[ -n $(type -P "$command") ]] || echo "$command (apt-get install slurmctld slurmd slurm-client munge)"
    done
}

slurm_daemons=()
slurm_home=

# start_slurm: exports SLURM_CONF; returns 1 and shows the logs if the node does not become idle in 30 s.
start_slurm() {
    local node try
    # Not below the scratch folder: munge wants a path that all may search, and a socket's path is short.
    slurm_home=$(mktemp -d /tmp/one_node_slurm.XXXXXX)
    chmod 755 "$slurm_home"
    mkdir "$slurm_home"/{munge,state,spool}
    node=$(hostname -s)
    (umask 077 && head -c 1024 /dev/urandom > "$slurm_home/key")
    cat > "$slurm_home/slurm.conf" <<CONF
ClusterName=one_node
SlurmctldHost=$node
SlurmctldPort=${SLURM_TEST_PORT:-26817}
SlurmdPort=$((${SLURM_TEST_PORT:-26817} + 1))
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$slurm_home/munge/socket
StateSaveLocation=$slurm_home/state
SlurmdSpoolDir=$slurm_home/spool
SlurmctldPidFile=$slurm_home/slurmctld.pid
SlurmdPidFile=$slurm_home/slurmd.pid
SlurmctldLogFile=$slurm_home/slurmctld.log
SlurmdLogFile=$slurm_home/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
MpiDefault=none
NodeName=$node CPUs=$(nproc) RealMemory=$(awk '/MemTotal/ { print int($2 / 1024 * 0.9) }' /proc/meminfo) State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
    export SLURM_CONF=$slurm_home/slurm.conf
    munged --foreground --key-file "$slurm_home/key" --socket "$slurm_home/munge/socket" \
        --pid-file "$slurm_home/munge/pid" --log-file "$slurm_home/munge/log" --seed-file "$slurm_home/seed" \
        > "$slurm_home/munged.out" 2>&1 &
    slurm_daemons+=($!)
    for try in {1..50}; do
        if [[ -S $slurm_home/munge/socket ]]; then break; fi
        sleep 0.1
    done
    slurmctld -D > "$slurm_home/slurmctld.out" 2>&1 &
    slurm_daemons+=($!)
    slurmd -D > "$slurm_home/slurmd.out" 2>&1 &
    slurm_daemons+=($!)
    for try in {1..60}; do
        if [[ $(timeout 5 sinfo -h -o %T 2> /dev/null) == idle ]]; then return 0; fi
        sleep 0.5
    done
    tail -n 20 "$slurm_home"/*.out >&2
    return 1
}

# Ends jobs and daemons, by the ids that start_slurm noted; for a trap on EXIT.
stop_slurm() {
    local index
    if [[ ${#slurm_daemons[@]} -eq 3 ]]; then
        timeout 10 scancel --state=PENDING,RUNNING --user=root 2> /dev/null || true
    fi
    for ((index = ${#slurm_daemons[@]} - 1; index >= 0; --index)); do
        kill "${slurm_daemons[index]}" 2> /dev/null || true
        wait "${slurm_daemons[index]}" 2> /dev/null || true
    done
    slurm_daemons=()
    rm -rf "$slurm_home"
}
