#!/usr/bin/env bash
# Checks of the sources themselves:
#   tests/lint.sh format            every source is as clang-format 14 writes it
#   tests/lint.sh reformat          makes it so
#   tests/lint.sh headers           every header compiles alone
#   tests/lint.sh tidy BUILD        clang-tidy over the sources of the rooms (not of the tests), by .clang-tidy
set -euo pipefail
export LC_ALL=C.UTF-8
cd "$(dirname "${BASH_SOURCE[0]}")/.."
jobs=${STRANDWAVE_JOBS:-$(nproc)}
rooms=(apps formats kernels lib pipelines)

sources() { find "${rooms[@]}" tests \( -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' \) | sort; }

# Zero files would be a pass that means nothing.
some() {
    local files
    files=$(cat)
    [[ -n $files ]] || { echo "lint: no files found" >&2; return 1; }
    printf '%s\n' "$files"
}

# Those of the files that the build compiles: without CUDA it leaves some out.
compiled_in() { # BUILD
    local file
    while IFS= read -r file; do
        if grep -qF "/$file\"" "$1/compile_commands.json"; then printf '%s\n' "$file"; fi
    done
}

# Headers but those that the build proves: the first include of their own .cpp. In apps it proves nothing, for a
# precompiled header goes before it. -inl.h files are parts of their .cpp file and are no headers of their own.
unproven_headers() {
    local header own
    find "${rooms[@]}" -name '*.h' ! -name '*-inl.h' | sort | some | while IFS= read -r header; do
        own=${header%.h}.cpp
        if [[ $header == apps/* || ! -f $own || $(grep -m1 '^#include' "$own") != "#include \"$header\"" ]]; then
            printf '%s\n' "$header"
        fi
    done
}

case ${1:-} in
    format) sources | some | xargs -d '\n' clang-format --dry-run -Werror ;;
    reformat) sources | some | xargs -d '\n' clang-format -i ;;
    headers)
        unproven_headers | some |
            xargs -d '\n' -P "$jobs" -I{} g++ -std=c++20 -I. -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion \
                -Werror -fsyntax-only -include {} -x c++ /dev/null
        ;;
    tidy)
        build=${2:?build folder}
        [[ -f $build/compile_commands.json ]] || { echo "lint: $build has no compile_commands.json" >&2; exit 1; }
        find "${rooms[@]}" -name '*.cpp' ! -name '*_reference.cpp' | sort | compiled_in "$build" | some |
            xargs -d '\n' -P "$jobs" -n 1 \
                clang-tidy -p "$build" --quiet --extra-arg=-Wno-unknown-warning-option # the flags are g++'s
        ;;
    *)
        sed -n '2,6s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
        exit 2
        ;;
esac
