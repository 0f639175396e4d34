#!/usr/bin/env bash
# Makes the sample inputs of this folder again, from Debian 12 packages. Needs: apt-get (with network), dpkg, samtools,
# minimap2, sox, flac, gawk or mawk. Writes into the folder of this script; ../README.md says what each file is.
# The result is the same in every run: fixed records, fixed coordinates, no time stamps.
set -euo pipefail
export LC_ALL=C
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"

packages=(bowtie-examples ragout-examples vt-examples wtdbg2-examples python3-nanoget-examples
    asterisk-core-sounds-en-wav)
apt-get download "${packages[@]}"
for package in "${packages[@]}"; do dpkg -x "$package"_*.deb root; done
doc=root/usr/share/doc

# windows NAME LABEL GENOME.fa.gz [FIRST]: six windows of 1, 1, 2, 2, 5 and 5 kb of the longest sequence, evenly spaced
# from base FIRST on; a window with an N in it is refused.
windows() {
    local name=$1 label=$2 genome=$3 first=${4:-1} sequence length i=0 size start
    zcat "$genome" > "$name.fa"
    samtools faidx "$name.fa"
    read -r sequence length < <(sort -k2,2nr "$name.fa.fai" | cut -f1,2 | head -n 1)
    for size in 1000 1000 2000 2000 5000 5000; do
        i=$((i + 1))
        start=$((first + (length - first) * i / 7))
        samtools faidx "$name.fa" "$sequence:$start-$((start + size - 1))" | tail -n +2 | tr -d '\n' | tr acgt ACGT > window
        if grep -q '[^ACGT]' window; then echo "$name window $i holds an N" >&2; return 1; fi
        { printf '>%s_%d %s:%d-%d\n' "$name" "$i" "$sequence" "$start" "$((start + size - 1))"
          fold -w 80 window; echo; } >> genomes.fa
        printf '%s_%d\t%s\n' "$name" "$i" "$label" >> genomes.tsv
    done
}
windows ecoli_536 Escherichia_coli "$doc/bowtie/examples/genomes/NC_008253.fna.gz"
windows hpylori_SJM180 Helicobacter_pylori "$doc/ragout/examples/H.Pylori/references/SJM180.fasta.gz"
windows saureus_RF122 Staphylococcus_aureus "$doc/ragout/examples/S.Aureus/references/RF122.fasta.gz"
windows vcholerae_G4222 Vibrio_cholerae "$doc/ragout/examples/V.Cholerae/references/O1_Inaba.fasta.gz"
windows human_chr20 Homo_sapiens_chr20 "$doc/vt/examples/ref/20.fa.gz" 45000000
gzip -9n genomes.fa

# The first 60 PacBio reads of 1,500 to 4,000 bases, as they are.
tar -xzf "$doc/wtdbg2-examples/selfSampleData.tar.gz" selfSampleData/pacbio_filtered.fastq
awk 'NR % 4 == 1 { name = $0 } NR % 4 == 2 { bases = $0 } NR % 4 == 0 && length(bases) >= 1500 && length(bases) <= 4000 {
        print name; print bases; print "+"; print $0; if (++taken == 60) exit }' \
    selfSampleData/pacbio_filtered.fastq > reads.fastq
awk 'NR % 4 == 1 { print substr($1, 2) "\tEscherichia_coli" }' reads.fastq > reads.tsv
gzip -9n reads.fastq

# The first 40 nanopore reads of 800 to 6,000 bases that map to E. coli K-12, aligned: both strands, clipped, tagged.
zcat "$doc/ragout/examples/E.Coli/references/MG1655-K12.fasta.gz" > mg1655.fa
zcat "$doc/python3-nanoget/examples/nanotest/reads.fastq.gz" |
    awk 'NR % 4 == 1 { name = $1 } NR % 4 == 2 { bases = $0 } NR % 4 == 0 && length(bases) >= 800 && length(bases) <= 6000 {
        print name; print bases; print "+"; print $0 }' > nanopore.fastq
minimap2 -a -x map-ont -t 1 mg1655.fa nanopore.fastq 2> minimap2.log > aligned.sam
awk '/^@/ { next } $3 != "*" && !($1 in seen) { seen[$1]; print $1; if (++taken == 40) exit }' aligned.sam > mapped.txt
{ grep -h '^@HD' aligned.sam || printf '@HD\tVN:1.6\n'; grep '^@SQ' aligned.sam
  grep -v '^@' aligned.sam | awk 'NR == FNR { keep[$1]; next } $1 in keep' mapped.txt -; } |
    samtools sort --no-PG -o reads.bam -
awk '{ print $1 "\tEscherichia_coli" }' mapped.txt > reads_bam.tsv

# Spoken digits, silence before and after cut away (recordings of such sets have none); three of them as FLAC.
mkdir digits
for digit in 0 1 2 3 4 5 6 7 8 9; do
    sox -D "root/usr/share/asterisk/sounds/en_US_f_Allison/digits/$digit.wav" "digits/${digit}_allison.wav" \
        silence 1 0.01 0.3% reverse silence 1 0.01 0.3% reverse
    printf '%s_allison\t%s\n' "$digit" "$digit" >> digits/digits.tsv
done
for digit in 2 5 8; do
    flac --silent --best --no-padding -o "digits/${digit}_allison.flac" "digits/${digit}_allison.wav"
done

mkdir licences
for package in "${packages[@]}"; do cp "$doc/$package/copyright" "licences/$package.txt"; done
cp /usr/share/common-licenses/GPL-3 licences/GPL-3.txt

rm -rf "$here/digits" "$here/licences"
cp -r genomes.fa.gz genomes.tsv reads.fastq.gz reads.tsv reads.bam reads_bam.tsv digits licences "$here/"
for package in "${packages[@]}"; do dpkg-deb -f "$package"_*.deb Package Version | paste -sd' '; done
