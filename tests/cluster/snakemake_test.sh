#!/usr/bin/env bash
# The workflow of pipelines/snakemake on this machine: snakemake_test.sh PROGRAM SCRATCH
# Exit code 77: skipped, there is no snakemake 7 (Debian 12: apt-get install snakemake).
set -euo pipefail
program=$(realpath "$1")
rm -rf "$2"
mkdir -p "$2"
scratch=$(realpath "$2")
# shellcheck source=tests/cluster/workload.sh
source "$(dirname "${BASH_SOURCE[0]}")/workload.sh"

# Debian's own, also where another Python stands in front of it.
snakemake=/usr/bin/snakemake
[[ -x $snakemake ]] || skip "snakemake is not installed"
[[ $("$snakemake" --version) == 7.* ]] || skip "this is no snakemake 7 but $("$snakemake" --version)"

make_workload
make_mortal_program
run_unsharded
cat > "$scratch/settings.yaml" <<SETTINGS
model: model
sheet: sheet.tsv
program: $program
options: --format tsv,bed
shards: 6
threads: 1
report: false
SETTINGS

tries_more=0
run_workflow() { # LOG [SNAKEMAKE OPTIONS] [--config SETTING...]
    local log=$scratch/$1
    shift
    "$snakemake" --snakefile "$workflow/Snakefile" --profile "$workflow/profiles/local" --cores 2 \
        --restart-times "$tries_more" --directory "$scratch" --configfile "$scratch/settings.yaml" "$@" \
        > "$log" 2>&1 < /dev/null
}

expect_success() { run_workflow "$@" || { cat "$scratch/$1" >&2; fail "$1: the workflow failed"; }; }
expect_failure() { if run_workflow "$@"; then cat "$scratch/$1" >&2; fail "$1: the workflow did not fail"; fi; }
expect_text() { grep -qF -- "$2" "$scratch/$1" || { cat "$scratch/$1" >&2; fail "$1 does not say: $2"; }; }

# Six shards for five inputs: one has nothing to do. Another one dies in the middle, the others are done; the same
# command goes on from there.
expect_failure killed.log --config program="$scratch/mortal"
shards=$scratch/result.shards
[[ $(ls "$shards"/*.done | wc -l) -eq 5 ]] || fail "one shard of six should have died"
for folder in "$shards"/?-of-6; do
    if [[ ! -e $folder.done ]]; then dead=$folder; fi
done
cp "$dead/journal.jsonl" "$scratch/journal_of_the_dead"
[[ -s $scratch/journal_of_the_dead ]] || fail "the shard that died had completed no block"
expect_success resumed.log --config report=true
cmp -n "$(stat -c %s "$scratch/journal_of_the_dead")" "$scratch/journal_of_the_dead" "$dead/journal.jsonl" ||
    fail "the shard that died began anew"
expect_text resumed.log "result/failures.tsv says which and why"
same_as_one "$scratch/result"
[[ -s $scratch/result/report.html ]] || fail "no report"

# Nothing is left to do, also for other settings that change no byte.
expect_success again.log --dry-run --config report=true threads=2 program="$scratch/mortal"
expect_text again.log "Nothing to be done"

# Shards that share files; those that die are tried again by snakemake itself.
tries_more=1
expect_success records.log --config shard_by=records output=by_records shards=2 program="$scratch/mortal"
expect_text records.log "Trying to restart job"
same_as_one "$scratch/by_records"
tries_more=0

# With `strict` the cut file stops the workflow before it merges.
expect_failure strict.log --config strict=true output=strict
[[ ! -e $scratch/strict/run.json ]] || fail "strict: merged in spite of a failure"
[[ $(ls "$scratch"/strict.shards/*.done | wc -l) -eq 5 ]] || fail "strict: the other shards should have run"

# A misspelt setting is not passed over.
expect_failure misspelt.log --config shard=2
expect_text misspelt.log "unknown setting: shard"
echo "the workflow gives what one run gives"
