#!/usr/bin/env bash
# Gives every file of a folder of hostile files alone to `batch` and prints the tables of docs/HOSTILE.md.
#   tests/hostile_table.sh PROGRAM FOLDER [WORK]
# FOLDER has hts.tar.gz (test folders of hts-specs, htslib and samtools), hostile_fastx/ and wav/. WORK, a new folder,
# keeps what was said of each file in results.tsv. Takes some minutes. Not part of the continuous integration.
# Exit code: 0 all is well, 1 a file made the program crash, hang or leave something behind, 2 usage, or files missing.
set -euo pipefail
export LC_ALL=C

fail() {
    echo "hostile_table: $1" >&2
    exit 2
}
if [[ $# -lt 2 || $# -gt 3 ]]; then
    sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
[[ -x $1 ]] || fail "$1: is no program"
program=$(realpath "$1")
for needed in hts.tar.gz hostile_fastx wav; do
    [[ -e $2/$needed ]] || fail "the hostile files are not here: $2/$needed is missing"
done
hostile=$(realpath "$2")
if [[ $# -eq 3 ]]; then
    mkdir "$3" || fail "$3: cannot be made anew"
    work=$(realpath "$3")
else
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
fi

# Two tiny random models, so that the time goes into reading.
make_model() { # name, tokens, options of init
    cat > "$work/$1.json" << JSON
{"architectures": ["MambaForSequenceClassification"], "model_type": "mamba", "vocab_size": $2, "hidden_size": 8,
 "intermediate_size": 16, "state_size": 4, "conv_kernel": 4, "time_step_rank": 2, "num_hidden_layers": 2,
 "id2label": {"0": "red", "1": "green", "2": "blue"}}
JSON
    "$program" init -q --config "$work/$1.json" --seed 5 -o "$work/$1" "${@:3}"
}

row_of() {
    case $1 in
        hts-specs_test/sam/passed/*) echo "1hts-specs SAM, to be taken" ;;
        hts-specs_test/sam/failed/*) echo "2hts-specs SAM, to be refused" ;;
        hts-specs_test/bam/passed/*.bam) echo "3hts-specs BAM, to be taken" ;;
        hts-specs_test/cram/*/passed/*) echo "4hts-specs CRAM, to be taken" ;;
        hts-specs_test/cram/*/failed/*) echo "5hts-specs CRAM, to be refused" ;;
        hts-specs_test/vcf/*) echo "6hts-specs VCF" ;;
        hts-specs_test/*) echo "7hts-specs, other (codecs, tags, scripts, licences)" ;;
        htslib_test/*) echo "8htslib test folder" ;;
        samtools_test/*) echo "9samtools test folder" ;;
        hostile_fastx/*) echo "AFASTA and FASTQ of Biopython and others" ;;
        *) echo "BWAV of SciPy, FLAC that is cut off" ;;
    esac
}

# A line: row of the table, outcome, file, code and message of the first failure.
try() {
    local name=${1#"$files/"} model=dna out code=0 outcome said=$'\t'
    [[ $name == wav/* ]] && model=sound
    out=$(mktemp -d "$work/out.XXXXXX")
    timeout -s KILL 20 "$program" batch -q --device cpu --threads 1 --model "$work/$model" --task classify \
        -O "$out" "$1" 2> /dev/null || code=$?
    case $code in
        0) outcome=complete ;;
        1) outcome=$(awk -F '\t' 'NR == 2 { print $4 == "complete" ? "some" : "failed" }' "$out/summary.tsv") ;;
        137) outcome=hangs ;;
        *) outcome=crashes ;;
    esac
    if [[ -n $(find "$out" -name '*.part' -o -name '*.partial-*') ]]; then outcome=leaves; fi
    if [[ -f $out/failures.tsv ]]; then said=$(sed -n 2p "$out/failures.tsv" | cut -f 4,5); fi
    printf '%s\t%s\t%s\t%s\n' "$(row_of "$name")" "$outcome" "$name" "$said"
    rm -rf "$out"
}

print_tables() {
    awk -F '\t' '
        function reason(message) {
            if (message ~ /; DNA comes as FASTA, FASTQ/) return 1
            if (message ~ /by its content no kind/) return 2
            if (message ~ /cannot be decoded: the file is damaged/) return 3
            if (message ~ /\) is malformed/) return 4
            if (message ~ /is empty$/) return 5
            if (message ~ /gives bases as/) return 6
            return 7
        }
        { total[$1]++; count[$1, $2]++; all[$2]++ }
        $2 == "failed" { why[reason($5)]++ }
        END {
            print "| files | complete | some records failed | refused or failed |\n|---|---|---|---|"
            for (i = 1; i <= 11; i++)
                for (row in total)
                    if (index(row, substr("123456789AB", i, 1)) == 1)
                        printf "| %s | %d | %d | %d |\n", substr(row, 2), count[row, "complete"], count[row, "some"],
                               count[row, "failed"]
            printf "| **all %d** | %d | %d | %d |\n", NR, all["complete"], all["some"], all["failed"]
            print "\n| refused or failed because | files |\n|---|---|"
            word[1] = "VCF or BCF, a BED-like table, or an index: told by its kind"
            word[2] = "by its content no kind that is known"
            word[3] = "a CRAM record that cannot be decoded, mostly for want of its reference"
            word[4] = "a SAM record that is malformed, or mapped without `@SQ`"
            word[5] = "empty"
            word[6] = "SAM with `=` for bases; `samtools calmd` writes them out"
            word[7] = "another fault, told with its place"
            for (i = 1; i <= 7; i++) printf "| %s | %d |\n", word[i], why[i]
            for (bad in all)
                if (bad !~ /^(complete|some|failed)$/) { print "\n" all[bad] " files: the program " bad; status = 1 }
            exit status
        }' "$1"
}

make_model dna 16
make_model sound 256 --input audio --sampling-rate 8000
files=$work/files
mkdir "$files"
tar -xzf "$hostile/hts.tar.gz" -C "$files"
cp -r "$hostile/hostile_fastx" "$hostile/wav" "$files/"
export program work files
export -f row_of try
find "$files" -type f -print0 | xargs -0 -P "$(nproc)" -n 50 bash -c 'for file; do try "$file"; done' _ > "$work/unsorted"
sort "$work/unsorted" > "$work/results.tsv" # lines are short enough to be written whole
print_tables "$work/results.tsv"
