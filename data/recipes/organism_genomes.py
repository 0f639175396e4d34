#!/usr/bin/env python3
"""Training data from whole genomes for the organism set, for docs/RESULTS.md.

    organism_genomes.py GENOMES_FOLDER CHR20.fa.gz WORM.fa OUT_FOLDER

Of the four bacteria, the strains that are marked for training; of human chromosome 20, the first 41 Mb (the test windows
lie behind 44 Mb); of C. elegans, the first 780 kb of chromosome I in WORM.fa (ce.fa of Debian's htslib-test, where the
windows of train.fa end at 753 kb and those of test.fa begin at 796 kb). Writes classes.fa, 500 pieces a class, so that an
epoch of crops is balanced, and pretrain.fa, all of them in records of up to 1 Mb.
"""
import gzip
import random
import re
import sys
from pathlib import Path

PIECES = 500
SHORTEST = 2_000  # of a small genome pieces overlap, so that crops of 1,000 begin anywhere
LONGEST = 24_000  # a crop of each piece is an example: longer ones would leave most of a genome unseen
MEGABASE = 1_000_000
HUMAN_END = 41 * MEGABASE
WORM_END = 780_000
BACTERIA = {
    "Escherichia_coli": "Ecoli",
    "Staphylococcus_aureus": "Saureus",
    "Vibrio_cholerae": "Vcholerae",
    "Helicobacter_pylori": "Hpylori",
}


def read(file):
    with gzip.open(file, "rt") if file.suffix == ".gz" else open(file) as text:
        for record in text.read().split(">")[1:]:
            header, bases = record.split("\n", 1)
            yield header, bases.replace("\n", "").upper()


def contigs(sequences):
    """What lies between runs of unknown bases."""
    return [part for s in sequences for part in re.split("N+", s)]


def pieces_of(sequences):
    step = min(sum(map(len, sequences)) // (PIECES + len(sequences)), LONGEST)
    size = max(step, SHORTEST)
    pieces = [s[i : i + size] for s in sequences for i in range(0, len(s) - size + 1, step)]
    random.shuffle(pieces)
    return pieces[:PIECES]


def main(genomes, chromosome, worm, out):
    random.seed(1)
    human = "".join(bases for _, bases in read(chromosome))[:HUMAN_END]
    known = {"Homo_sapiens_chr20": contigs([human])}
    for label, name in BACTERIA.items():
        files = sorted(genomes.glob(f"{name}__*__train.fa.gz"))
        known[label] = contigs(bases for file in files for _, bases in read(file))
    known["Caenorhabditis_elegans"] = [next(bases for _, bases in read(worm))[:WORM_END]]
    with open(out / "classes.fa", "w") as classes, open(out / "pretrain.fa", "w") as pretrain:
        for label, sequences in known.items():
            for i, piece in enumerate(pieces_of(sequences)):
                classes.write(f">{label}_{i} label={label}\n{piece}\n")
            for i, sequence in enumerate(sequences):
                for at in range(0, len(sequence), MEGABASE):
                    pretrain.write(f">{label}_{i}_{at}\n{sequence[at:at + MEGABASE]}\n")


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(*map(Path, sys.argv[1:]))
