#!/usr/bin/env bash
# Makes the demo models data/models/{organism,digits} and tells their accuracy on recordings and strains held apart:
#   data/models/make_models.sh DATA
# DATA has dna/organism6/{train,test}.fa (class in the header, `label=`) and audio/fsdd.tar.gz (the Free Spoken Digit
# Dataset, https://github.com/Jakobovski/free-spoken-digit-dataset). STRANDWAVE_PROGRAM: default build/release/strandwave.
set -euo pipefail
export LC_ALL=C.UTF-8
[[ $# -eq 1 ]] || { sed -n '2,5s/^# //p' "$0" >&2; exit 2; }
data=$(realpath "$1")
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
program=$(realpath "${STRANDWAVE_PROGRAM:-build/release/strandwave}")
models=$PWD/data/models
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Share of rows (name, start, end, label, ...) whose label is that of the table name<TAB>label.
accuracy() { # TRUTH CLASSES
    awk -F '\t' 'NR == FNR { truth[$1] = $2; next } FNR > 1 { rows++; right += truth[$1] == $4 }
        END { printf "test: %d of %d right, %.4f\n", right, rows, right / rows }' "$1" "$2"
}

# --- organism: Caduceus-PS, which reads both strands alike -----------------------------------------------------------
cat > "$scratch/organism.json" <<'JSON'
{
  "model_type": "caduceus",
  "d_model": 192,
  "n_layer": 2,
  "vocab_size": 12,
  "rcps": true,
  "bidirectional": true,
  "fused_add_norm": true,
  "ssm_cfg": {"d_state": 8, "d_conv": 4, "expand": 1}
}
JSON
organism6=$data/dna/organism6
"$program" init --config "$scratch/organism.json" --seed 1 --input dna -o "$scratch/organism"
"$program" probe --model "$scratch/organism" --labels-from header "$organism6/train.fa" -o "$models/organism" --force
"$program" classify --model "$models/organism" "$organism6/test.fa" -o "$scratch/organism.tsv"
sed -n 's/^>\([^ ]*\) label=\(.*\)/\1\t\2/p' "$organism6/test.fa" > "$scratch/organism.truth"
accuracy "$scratch/organism.truth" "$scratch/organism.tsv"

# --- digits: Mamba over frames of 4 ms, one every quarter of a millisecond -------------------------------------------
cat > "$scratch/digits.json" <<'JSON'
{
  "model_type": "mamba",
  "hidden_size": 256,
  "num_hidden_layers": 1,
  "vocab_size": 1,
  "state_size": 8,
  "conv_kernel": 4,
  "expand": 1,
  "frame_length": 32
}
JSON
mkdir "$scratch/recordings"
tar -xzf "$data/audio/fsdd.tar.gz" -C "$scratch/recordings" --strip-components 2
cd "$scratch" # the names of recordings are their files' as given
"$program" init --config digits.json --seed 1 --input audio --sampling-rate 8000 --frame-hop 2 -o digits
# <digit>_<speaker>_<index>.wav; the official test set is index 0 to 4.
"$program" probe --model digits --labels-from file recordings/*_{[5-9],[1-4][0-9]}.wav -o "$models/digits" --force
"$program" classify --model "$models/digits" recordings/*_[0-4].wav -o digits.tsv
for file in recordings/*_[0-4].wav; do
    digit=${file#recordings/}
    printf '%s\t%s\n' "$file" "${digit%%_*}"
done > digits.truth
accuracy digits.truth digits.tsv
