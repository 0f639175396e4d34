#!/usr/bin/env bash
# tests/fuzz/run.sh BUILD [SECONDS]: every fuzz target for a short while (5 s), from its corpus in tests/fuzz/corpus.
# The seed is fixed, so that a short run sees the same inputs each time; to search, give it minutes and another seed.
# New inputs go to BUILD/fuzz-corpus, crashing ones to BUILD/fuzz-crash: make those a fixture.
set -euo pipefail
build=$(cd "${1:?build folder}" && pwd)
seconds=${2:-5}
jobs=${STRANDWAVE_JOBS:-$(nproc)}
cd "$(dirname "${BASH_SOURCE[0]}")"
LSAN_OPTIONS=suppressions=$(cd .. && pwd)/leaks.supp:print_suppressions=0
# A malloc of more than this gives null, as on a full machine: htslib 1.16 believes a CRAM container's count of landmarks
# (up to 8 GiB) and has to cope. A C++ allocation of ours that large is still a finding.
ASAN_OPTIONS=allocator_may_return_null=1:max_allocation_size_mb=1024
export LSAN_OPTIONS ASAN_OPTIONS

export build seconds

fuzz_one() {
    local target=$1 name corpus=()
    name=$(basename "$target")
    mkdir -p "$build/fuzz-corpus/$name" "$build/fuzz-crash"
    if [[ -d corpus/$name ]]; then corpus=("corpus/$name"); fi
    if "$target" -seed=1 -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1 \
        -artifact_prefix="$build/fuzz-crash/$name-" "$build/fuzz-corpus/$name" "${corpus[@]}" \
        > "$build/fuzz-corpus/$name.log" 2>&1 < /dev/null; then
        echo "$name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$build/fuzz-corpus/$name.log") inputs, no finding"
    else
        tail -n 60 "$build/fuzz-corpus/$name.log"
        echo "$name: FAILED"
        return 1
    fi
}
export -f fuzz_one

targets=()
for target in "$build"/tests/fuzz/*_fuzz; do
    if [[ -x $target ]]; then targets+=("$target"); fi
done
[[ ${#targets[@]} -gt 0 ]] || { echo "no fuzz targets in $build" >&2; exit 1; }
# One target a processor; xargs fails if one of them does.
printf '%s\0' "${targets[@]}" | xargs -0 -P "$jobs" -I{} bash -c 'set -euo pipefail; fuzz_one "$1"' fuzz {}
echo "${#targets[@]} fuzz targets, no finding"
