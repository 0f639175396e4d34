#!/usr/bin/env python3
"""One training set of all tasks of GUE, for the joint stage of docs/RESULTS.md.

    gue_joint.py GUE_FOLDER > joint.csv

A class for each label of each task, as tf_0_1 (core_all is left out: it holds the sequences of core_notata and
core_tata again). The tasks overlap: a sequence that shares 28 bases, on either strand, with a validation or test
sequence of any task is left out, so that nothing of what is measured is seen.
"""
import csv
import sys
from pathlib import Path

SHARED = 28
COMPLEMENT = str.maketrans("ACGT", "TGCA")


def read(file):
    with open(file, newline="") as table:
        return [(row["sequence"].upper(), row["label"]) for row in csv.DictReader(table)]


def windows(sequence):
    return (sequence[i : i + SHARED] for i in range(len(sequence) - SHARED + 1))


def measured(tasks):
    """The windows of all validation and test sequences, and those of their other strands."""
    found = set()
    for task in tasks:
        for sequence, _ in read(task / "dev.csv") + read(task / "test.csv"):
            found.update(windows(sequence))
            found.update(windows(sequence.translate(COMPLEMENT)[::-1]))
    return found


def main(folder):
    tasks = sorted(file.parent for file in Path(folder).rglob("train.csv"))
    held_out = measured(tasks)
    rows = set()
    for task in tasks:
        if task.name == "prom_core_all":
            continue
        name = "_".join(task.relative_to(folder).parts)
        sequences = read(task / "train.csv")
        kept = [(s, f"{name}_{label}") for s, label in sequences if held_out.isdisjoint(windows(s))]
        print(f"{name}: {len(kept)} of {len(sequences)}", file=sys.stderr)
        rows.update(kept)
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(["sequence", "label"])
    table.writerows(sorted(rows))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
