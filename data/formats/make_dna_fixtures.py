#!/usr/bin/python3
"""Makes the DNA fixtures of this folder. Needs samtools and bgzip 1.16; gives the same bytes in every run.

    cd data/formats && ./make_dna_fixtures.py
"""
import gzip
import hashlib
import os
import random
import subprocess
import tempfile
from pathlib import Path

random.seed(20)


def bases(count):
    return "".join(random.choice("ACGT") for _ in range(count))


def wrap(text, width):
    return "".join(text[i:i + width] + "\n" for i in range(0, len(text), width))


def reverse_complement(text):
    return text[::-1].translate(str.maketrans("ACGTMKRYVBHDN", "TGCAKMYRBVDHN"))


def write(path, content):
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).write_bytes(content.encode() if isinstance(content, str) else content)


def write_expected(folder, records):
    write(f"{folder}/expected.tsv", "".join("\t".join(record) + "\n" for record in records))


def run(*command, **options):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, **options).stdout


def bgzip(content):
    return run("bgzip", "-c", input=content)


def samtools_view(*arguments):
    run("samtools", "view", "--no-PG", *arguments)


def header(name, description):
    return f"{name} {description}" if description else name


def make_fasta():
    records = [("one", "a record with lower case", "ACGTNacgtnRYKM" + bases(66)), ("two", "", bases(7) + "-*" + bases(100)),
               ("empty", "no sequence", ""), ("one", "a name may repeat", bases(33))]
    plain = "".join(f">{header(n, d)}\n{wrap(s, 40)}" for n, d, s in records).encode()
    crlf = "\n" + "\n".join(f">{header(n, d)}\n{wrap(s, 23)}" for n, d, s in records).rstrip("\n")
    packed = gzip.compress(plain, mtime=0)
    write_expected("fasta", records)
    write("fasta/valid.fa", plain)
    write("fasta/valid_crlf.fa", crlf.replace("\n", "\r\n"))
    write("fasta/valid.fa.gz", packed)
    write("fasta/valid_two_members.fa.gz", gzip.compress(plain[:90], mtime=0) + gzip.compress(plain[90:], mtime=0))
    write("fasta/valid_bgzf.fa.gz", bgzip(plain))
    write("fasta/empty.fa", "")
    write("fasta/truncated.fa.gz", packed[:120])
    write("fasta/malformed.fa", b">one\nACGT\nAC\0T\n")


def make_fastq():
    records = [("read1", "length=45", bases(45)), ("read2", "", "N" * 5 + bases(20)), ("read3", "no bases", ""),
               ("read4", "2:N:0", "acgtn" + bases(31))]
    qualities = ["".join("@" if i == 0 else random.choice('!"+@IJ~5') for i in range(len(s))) for _, _, s in records]
    plain = "".join(f"@{header(n, d)}\n{s}\n+\n{q}\n" for (n, d, s), q in zip(records, qualities)).encode()
    wrapped = "".join(f"@{header(n, d)}\n{wrap(s, 10)}+{header(n, d)}\n{wrap(q, 9)}"
                      for (n, d, s), q in zip(records, qualities))
    write_expected("fastq", records)
    write("fastq/valid.fq", plain)
    write("fastq/valid_wrapped.fq", wrapped)
    write("fastq/valid.fq.gz", gzip.compress(plain, mtime=0))
    write("fastq/valid_bgzf.fq.gz", bgzip(plain))
    write("fastq/empty.fq", "")
    write("fastq/truncated.fq", plain[:95])
    write("fastq/malformed.fq", "@read1\nACGT\n+\nIIIII\n@read2\nA\n+\nI\n")


def make_alignments():
    chromosome = bases(150)
    first = chromosome[10:25] + "G" + chromosome[25:40]
    second = chromosome[60:90]
    clipped = "TTTT" + chromosome[4:30]
    unmapped = "ACGTNRYKMSWBDHV" + bases(22)
    rows = [("pair", 99, "chr1", 11, 60, "15M1I15M", "=", 61, 80, first),
            ("pair", 147, "chr1", 61, 60, "30M", "=", 11, -80, second),
            ("pair", 256 + 99, "chr1", 100, 0, "31M", "=", 61, -70, first),
            ("pair", 2048 + 147, "chr1", 1, 0, "20M10S", "=", 11, 40, second),
            ("clipped", 16, "chr1", 5, 30, "4S26M3H", "*", 0, 0, clipped),
            ("unmapped", 4, "*", 0, 0, "*", "*", 0, 0, unmapped),
            ("bare", 4, "*", 0, 0, "*", "*", 0, 0, "*")]
    expected = [("pair", "1", first), ("pair", "2", reverse_complement(second)),
                ("clipped", "", reverse_complement(clipped)), ("unmapped", "", unmapped), ("bare", "", "")]
    lines = []
    for i, row in enumerate(rows):
        quality = "*" if row[-1] == "*" else "".join(chr(33 + (7 * j + i) % 40) for j in range(len(row[-1])))
        lines.append("\t".join(map(str, row)) + "\t" + quality + "\tRG:Z:g\n")
    head = "@HD\tVN:1.6\tSO:unsorted\n@SQ\tSN:chr1\tLN:150\n@RG\tID:g\tSM:s\n"
    plain = (head + "".join(lines)).encode()

    for folder in ("sam", "bam", "cram"):
        write_expected(folder, expected)
    write("sam/valid.sam", plain)
    no_place = [line.split("\t") for line in lines] # without @SQ lines no read can be mapped
    write("sam/valid_no_header.sam", "".join(
        "\t".join([c[0], str(int(c[1]) | 4), "*", "0", "0", "*", "*", "0", "0"] + c[9:]) for c in no_place))
    write("sam/valid_gzip.sam.gz", gzip.compress(plain, mtime=0))
    write("sam/valid_bgzf.sam.gz", bgzip(plain))
    write("sam/empty.sam", head)
    write("sam/truncated.sam", plain[:250])
    write("sam/malformed.sam", head + lines[0] + "pair\t99\tchr1\televen\n")

    samtools_view("-b", "sam/valid.sam", "-o", "bam/valid.bam")
    samtools_view("-u", "sam/valid.sam", "-o", "bam/valid_uncompressed.bam")
    samtools_view("-b", "sam/empty.sam", "-o", "bam/empty.bam")
    write("bam/truncated.bam", Path("bam/valid.bam").read_bytes()[:-28])
    write("bam/malformed.bam", bgzip(run("bgzip", "-dc", "bam/valid.bam")[:330] + b"\1\0\0\0"))
    make_cram(chromosome, head)


def make_cram(chromosome, head):
    write("cram/reference.fa", ">chr1 made for these tests\n" + wrap(chromosome, 50))
    run("samtools", "faidx", "cram/reference.fa")
    checksum = hashlib.md5(chromosome.encode()).hexdigest()
    with tempfile.TemporaryDirectory() as folder:
        # Found by its checksum: given by -T, the reference's path on this machine would go into the header.
        Path(folder, checksum).write_text(chromosome)
        environment = dict(os.environ, REF_PATH=f"{folder}/%s", REF_CACHE="")
        for source, name, option in (("valid", "valid", "no_ref=0"), ("valid", "valid_no_reference", "no_ref=1"),
                                     ("empty", "empty", "no_ref=0")):
            text = Path(f"sam/{source}.sam").read_text()
            text = text.replace("LN:150", f"LN:150\tM5:{checksum}\tUR:reference.fa")
            cram = run("samtools", "view", "--no-PG", "-C", "--output-fmt-option", option, "-", input=text.encode(),
                       env=environment)
            write(f"cram/{name}.cram", cram)
    whole = bytearray(Path("cram/valid.cram").read_bytes())
    write("cram/truncated.cram", whole[:-38])
    whole[len(whole) * 2 // 3] ^= 0x55
    write("cram/malformed.cram", whole)


make_fasta()
make_fastq()
make_alignments()
