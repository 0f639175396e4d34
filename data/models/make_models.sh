#!/usr/bin/env bash
# Makes the demo models data/models/{organism,digits} and tells their accuracy on recordings and strains held apart:
#   data/models/make_models.sh DATA [DEVICE]
# DATA has dna/organism6/{train,test}.fa (class in the header, `label=`) and audio/fsdd.tar.gz (the Free Spoken Digit
# Dataset, https://github.com/Jakobovski/free-spoken-digit-dataset). STRANDWAVE_PROGRAM: default build/release/strandwave.
set -euo pipefail
export LC_ALL=C.UTF-8
[[ $# -eq 1 || $# -eq 2 ]] || { sed -n '2,5s/^# //p' "$0" >&2; exit 2; }
data=$(realpath "$1")
device=(--device "${2:-auto}")
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
program=$(realpath "${STRANDWAVE_PROGRAM:-build/release/strandwave}")
models=$PWD/data/models
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Classes as in the headers of a FASTA file, or the names of recordings: accuracy with its 95 % interval.
accuracy() { # WHAT MODEL LABELS-FROM FILE...
    local what=$1 model=$2 from=$3
    shift 3
    printf '%s: ' "$what"
    "$program" evaluate --model "$model" --labels-from "$from" "$@" -q | awk '$1 == "accuracy" { print $2, "(" $3 " to " $4 ")" }'
}

# --- organism: Caduceus-PS, which reads both strands alike -----------------------------------------------------------
organism6=$data/dna/organism6
"$program" train --model data/configs/organism --labels-from header "$organism6/train.fa" --held-out 0.05 \
    --batch-size 16 --crop 400 --epochs 18 --learning-rate 3e-3 --dropout 0.05 --substitutions 0.15 \
    --validate-every 356 --dtype f32 "${device[@]}" -o "$scratch/organism"
cp "$scratch"/organism/*.{json,safetensors} "$models/organism/"
accuracy "organism, test" "$models/organism" header "$organism6/test.fa"

# --- digits: a bidirectional Mamba over frames of 4 ms, one every 2 ms ------------------------------------------------
mkdir "$scratch/recordings"
tar -xzf "$data/audio/fsdd.tar.gz" -C "$scratch/recordings" --strip-components 2
# <digit>_<speaker>_<index>.wav; the official test set is index 0 to 4.
"$program" train --model data/configs/digits --labels-from file "$scratch"/recordings/*_{[5-9],[1-4][0-9]}.wav \
    --held-out 0.05 --batch-size 32 --epochs 40 --learning-rate 3e-3 --dropout 0.2 --gain 6 --noise 0.5 --shift 0.05 \
    --speed 0.25 --mix 0.5 --dtype f32 "${device[@]}" -o "$scratch/digits"
cp "$scratch"/digits/*.{json,safetensors} "$models/digits/"
accuracy "digits, official test" "$models/digits" file "$scratch"/recordings/*_[0-4].wav
accuracy "digits, a new voice" "$models/digits" file data/samples/digits/*.wav
