#!/usr/bin/env bash
# Sourced by the tests of this folder: a small job of several inputs, what one run gives for it, and the comparison.
# The caller sets: program (path of strandwave), scratch (an empty folder).

samples=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../data/samples" && pwd)
workflow=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../pipelines/snakemake" && pwd)

fail() {
    printf 'FAILED: %s\n' "$*" >&2
    exit 1
}

skip() {
    printf 'skipped: %s\n' "$*" >&2
    exit 77
}

# A classifier of 3,216 random parameters; a sheet of five inputs: one of three blocks (8,192 records each, rows of
# about 240 kB), three samples, and one that is cut in the middle and has to fail.
make_workload() {
    cat > "$scratch/config.json" <<'JSON'
{"model_type": "caduceus", "d_model": 16, "n_layer": 1, "vocab_size": 12, "rcps": true, "bidirectional": true,
 "fused_add_norm": true, "ssm_cfg": {"d_state": 4, "d_conv": 4, "expand": 2},
 "architectures": ["CaduceusForSequenceClassification"],
 "id2label": {"0": "red", "1": "green", "2": "blue"}, "label2id": {"red": 0, "green": 1, "blue": 2}}
JSON
    "$program" init --config "$scratch/config.json" --seed 1 -o "$scratch/model" -q
    mkdir -p "$scratch/reads"
    awk 'BEGIN {
        srand(7)
        for (r = 0; r < 20000; ++r) {
            bases = ""
            for (length_left = 20 + int(20 * rand()); length_left > 0; --length_left)
                bases = bases substr("ACGT", 1 + int(4 * rand()), 1)
            qualities = bases
            gsub(/./, "I", qualities)
            printf "@read%d\n%s\n+\n%s\n", r, bases, qualities
        }
    }' > "$scratch/reads/many reads.fastq"
    cp "$samples/reads.fastq.gz" "$samples/reads.bam" "$samples/genomes.fa.gz" "$scratch/reads"
    head -c 100000 "$samples/reads.fastq.gz" > "$scratch/reads/cut.fastq.gz"
    printf '%s\t%s\n' path sample reads/genomes.fa.gz genomes 'reads/many reads.fastq' many reads/cut.fastq.gz cut \
        reads/reads.bam nanopore reads/reads.fastq.gz pacbio > "$scratch/sheet.tsv"
}

# What the shards have to give: one run, on one thread, into $scratch/one. Paths as the shards will have them, relative
# to the scratch folder: they stand in the tables.
run_unsharded() {
    local code=0
    (cd "$scratch" && "$program" batch --model model --task classify --sheet sheet.tsv --format tsv,bed --threads 1 -q \
        -O one) || code=$?
    [[ $code -eq 1 ]] || fail "one run: exit code $code; expected 1, for the cut file"
}

# same_as_one FOLDER: all but what has times in it (run.json, journal.jsonl) and the report.
same_as_one() {
    local file
    diff <(outputs_of "$scratch/one") <(outputs_of "$1") || fail "$1 has other files than one run"
    while IFS= read -r file; do
        cmp "$scratch/one/$file" "$1/$file" || fail "$1/$file differs from that of one run"
    done < <(outputs_of "$1")
    [[ $(outputs_of "$1" | wc -l) -gt 5 && -s $1/run.json ]] || fail "$1 lacks outputs"
    grep -q cut "$1/failures.tsv" || fail "$1/failures.tsv does not name the cut file"
}

outputs_of() { (cd "$1" && find . -type f ! -name run.json ! -name journal.jsonl ! -name report.html | sort); }

# A program that dies in the middle of its first try: in a folder that is not there yet it may write no file of more
# than 300 kB, and the kernel ends it at the second block of `many`. Its last argument is the folder.
make_mortal_program() {
    cat > "$scratch/mortal" <<MORTAL
#!/usr/bin/env bash
if [[ \$1 == batch && ! -e \${!#} ]]; then ulimit -c 0 -f 300; fi
exec "$program" "\$@"
MORTAL
    chmod +x "$scratch/mortal"
}
