// What is written is read by the libraries that others use: Debian's numpy, h5py and anndata. Each check compares it
// with the .npy and .tsv that it was made of, read by numpy and by Python.
#include "formats/embedding_export.h"

#include "formats/npy.h"
#include "formats/npz_writer.h"
#include "lib/core/error.h"
#include "tests/formats/file_size_limit.h"
#include "tests/support/run_program.h"
#include "tests/support/temp_dir.h"

#include <cmath>
#include <csignal>
#include <cstdlib>
#include <gtest/gtest.h>
#include <iterator>
#include <limits>
#include <sys/resource.h>
#include <vector>

namespace strandwave {
namespace {

namespace fs = std::filesystem;

EmbeddingOrigin const kOrigin{"strandwave 1.2.3", "reads/Gr\xc3\xbc\xc3\x9f"
                                                  "e.fq"};

// X, names, starts, ends and, of sound, starts_s and ends_s: what has to be found in `made`.
char const* const kTruth = R"(
import sys, numpy as n
X = n.load('a.npy')
head, *lines = open('a.tsv', 'rb').read().decode('utf-8', 'replace').split('\n')[:-1]
sound = head.endswith('end_s')
rows = [line.split('\t') for line in lines]
names = [r[0] for r in rows]
starts, ends = ([int(r[i]) for r in rows] for i in (1, 2))
starts_s, ends_s = ([float(r[i]) for r in rows] for i in (3, 4)) if sound else (None, None)
def same(a, b, kind):
    a = n.asarray(a)
    assert a.dtype == kind and a.tobytes() == n.array(b, kind).tobytes() and a.shape == n.shape(b), (a, b)
made = sys.argv[1]
)";

char const* const kCheckNpz = R"(
import zipfile
z = n.load(made, allow_pickle=False)
assert sorted(z.files) == sorted(['embeddings', 'names', 'starts', 'ends'] + ['starts_s', 'ends_s'] * sound), z.files
same(z['embeddings'], X, n.float32); same(z['starts'], starts, n.int64); same(z['ends'], ends, n.int64)
assert z['names'].dtype.kind == 'U' and z['names'].shape == (len(names),) and list(z['names']) == names
if sound: same(z['starts_s'], starts_s, n.float64); same(z['ends_s'], ends_s, n.float64)
with zipfile.ZipFile(made) as f:
    assert f.testzip() is None
    assert all(i.date_time == (1980, 1, 1, 0, 0, 0) and i.compress_type == 0 for i in f.infolist())
)";

char const* const kCheckHdf5 = R"(
import h5py
f = h5py.File(made)
assert set(f) == {'embeddings', 'names', 'starts', 'ends'} | ({'starts_s', 'ends_s'} if sound else set())
same(f['embeddings'], X, n.float32); same(f['starts'], starts, n.int64); same(f['ends'], ends, n.int64)
assert f['embeddings'].chunks and list(f['names'].asstr()) == names
if sound: same(f['starts_s'], starts_s, n.float64); same(f['ends_s'], ends_s, n.float64)
assert dict(f.attrs) == {'program': 'strandwave 1.2.3', 'input': 'reads/Grüße.fq'}, dict(f.attrs)
f.visititems(lambda k, o: o.id.get_create_plist().get_obj_track_times() and sys.exit(k + ' keeps times'))
)";

char const* const kCheckAnnData = R"(
import warnings, anndata, h5py
from anndata.experimental import write_elem
from anndata.utils import make_index_unique
import pandas as pd
with warnings.catch_warnings():
    warnings.simplefilter('error')
    a = anndata.read_h5ad(made)
with warnings.catch_warnings():
    warnings.simplefilter('ignore')  # that a name ended in a number already
    unique = make_index_unique(pd.Index(names, dtype=object))
same(a.X, X, n.float32)
assert list(a.obs_names) == list(unique) and a.obs_names.is_unique, list(a.obs_names)
assert list(a.obs) == ['name', 'start', 'end'] + ['start_s', 'end_s'] * sound + ['input'], list(a.obs)
assert list(a.obs['name']) == names and a.obs['input'].dtype == 'category'
assert list(a.obs['input']) == ['reads/Grüße.fq'] * len(names) and not a.obs['input'].cat.ordered
same(a.obs['start'], starts, n.int64); same(a.obs['end'], ends, n.int64)
if sound: same(a.obs['start_s'], starts_s, n.float64); same(a.obs['end_s'], ends_s, n.float64)
assert list(a.var_names) == ['dim_%d' % i for i in range(X.shape[1])] and not len(a.var.columns)
assert a.uns == {'program': 'strandwave 1.2.3'} and a.raw is None
assert not any(len(m) for m in (a.layers, a.obsm, a.varm, a.obsp, a.varp))
def encodings(f):
    all = {'/': tuple(f.attrs.get('encoding-' + k) for k in ('type', 'version'))}
    f.visititems(lambda key, o: all.update({key: tuple(o.attrs.get('encoding-' + k) for k in ('type', 'version'))}))
    return all
with h5py.File(made) as f, h5py.File('again.h5ad', 'w') as again:
    write_elem(again, '/', a)  # as anndata itself would have written it
    one, two = encodings(f), encodings(again)
    assert one == two, set(one.items()) ^ set(two.items())
    assert f['obs'].attrs['_index'] == '_index' and f['obs/input'].attrs['ordered'].dtype == bool
    same(f['X'], X, n.float32)
    f.visititems(lambda k, o: o.id.get_create_plist().get_obj_track_times() and sys.exit(k + ' keeps times'))
)";

class EmbeddingExport : public testing::Test {
protected:
    void SetUp() override {
        if (!has("numpy") || !has("h5py")) { GTEST_SKIP() << "python3 has no numpy or no h5py here"; }
    }

    /// What the script says, its failure too. Debian's python3 and no other, which may lack its modules.
    std::string python(std::string const& script, fs::path const& made = "") const {
        auto const run = run_program(folder_.path(), {"-c", script, made.string()}, "", "/usr/bin/python3");
        return run.exit_code == 0 ? run.out : run.out + run.err + "exit code " + std::to_string(run.exit_code);
    }

    bool has(std::string const& module) const {
        return python("import importlib.util, sys; sys.exit(not importlib.util.find_spec('" + module + "'))") == "";
    }

    void write(std::vector<float> const& values, index_t width, std::string const& lines) const {
        NpyWriter writer(npy_, width);
        writer.append({values.data(), static_cast<index_t>(values.size()) / width, width});
        writer.close();
        write_text(tsv_, lines);
    }

    void check_all() const {
        check("a.npz", kCheckNpz);
        check("a.h5", kCheckHdf5);
        if (!has("anndata")) { GTEST_SKIP() << "python3 has no anndata here; .h5ad is not checked"; }
        check("a.h5ad", kCheckAnnData);
    }

    void check(std::string const& name, char const* script) const {
        export_embeddings({npy_, tsv_}, folder_.path() / name, kOrigin);
        EXPECT_EQ(python(std::string(kTruth) + script, name), "") << name;
    }

    TempDir folder_;
    fs::path npy_ = folder_.path() / "a.npy";
    fs::path tsv_ = folder_.path() / "a.tsv";
};

TEST_F(EmbeddingExport, SeveralPartsHaveTheirTextColumns) {
    write({1, 2, 3, 4}, 2, "name\tstart\tend\nr\t0\t1\ns\t0\t2\n");
    NpyWriter(folder_.path() / "b.npy", 2).close();
    write_text(folder_.path() / "b.tsv", "name\tstart\tend\n");
    auto const part = [&](char const* stem, std::string const& input) {
        auto const path = folder_.path() / stem;
        return EmbeddingPart{fs::path(path) += ".npy", fs::path(path) += ".tsv", {input, "x"}};
    };
    EmbeddingTable const table({part("a", "one"), part("b", "none"),
                                part("a", "Gr\xc3\xbc\xc3\x9f"
                                          "e \xe9")},
                               {"input", "label"});
    for (auto const* name : {"m.npz", "m.h5", "m.h5ad"}) {
        export_embeddings(table, folder_.path() / name, kOrigin);
    }
    std::string const columns = R"(
import numpy as n, h5py
inputs = ['one'] * 2 + ['Gr\xfc\xdfe \ufffd'] * 2
)";
    EXPECT_EQ(python(columns + R"(
z = n.load('m.npz'); f = h5py.File('m.h5')
for a in (z['embeddings'], f['embeddings'][:]): assert a.tolist() == [[1, 2], [3, 4]] * 2
assert list(z['names']) == ['r', 's'] * 2 and list(z['inputs']) == inputs and list(z['labels']) == ['x'] * 4
assert list(f['inputs'].asstr()) == inputs and list(f['labels'].asstr()) == ['x'] * 4)"),
              "");
    if (!has("anndata")) { GTEST_SKIP() << "python3 has no anndata here; .h5ad is not checked"; }
    EXPECT_EQ(python(columns + R"(
import anndata
a = anndata.read_h5ad('m.h5ad')
assert list(a.obs) == ['name', 'start', 'end', 'input', 'label'] and list(a.obs_names) == ['r', 's', 'r-1', 's-1']
assert list(a.obs['input']) == inputs and a.X.tolist() == [[1, 2], [3, 4]] * 2)"),
              "");
}

TEST_F(EmbeddingExport, NamesOfAllKinds) {
    auto const inf = std::numeric_limits<float>::infinity();
    write({1.5F, -0.0F, inf, -inf, std::nanf("7"), std::numeric_limits<float>::denorm_min(), 0.1F, 3e38F, 4, 5, 6, 7, 8,
           9, 10, 11},
          2,
          "name\tstart\tend\n"
          "r1\t0\t100\nr1\t100\t9223372036854775807\nr1-1\t0\t7\n\xe6\xbc\xa2\xf0\x9f\xa7\xac\t1\t2\n"
          "it's \"quoted\", \\n\t0\t1\n\t0\t0\nlatin \xe9 1\t0\t1\nr1\t5\t6\n");
    check_all();
}

TEST_F(EmbeddingExport, NoRows) {
    write({}, 3, "name\tstart\tend\n");
    check_all();
}

TEST_F(EmbeddingExport, MoreThanOnePieceOfVectorsAndOfRowsWithSeconds) {
    constexpr index_t kRows = 9000;
    constexpr index_t kWidth = 65;
    std::vector<float> values;
    std::string lines = "name\tstart\tend\tstart_s\tend_s\n";
    for (index_t row = 0; row < kRows; ++row) {
        for (index_t i = 0; i < kWidth; ++i) {
            values.push_back(static_cast<float>(row * kWidth + i) * 0.001F);
        }
        auto const start = std::to_string(row * 8000);
        auto const end = std::to_string(row * 8000 + 16000);
        lines += "a.wav:channel" + std::to_string(row % 4) + "\t" + start + "\t" + end + "\t" + std::to_string(row) +
                 ".1\t" + std::to_string(row) + ".25\n";
    }
    write(values, kWidth, lines);
    check_all();
}

TEST_F(EmbeddingExport, WhatCannotBeWrittenLeavesNothing) {
    write({1, 2, 3, 4}, 2, "name\tstart\tend\na\t0\t1\n");
    for (auto const* const name : {"b.npz", "b.h5", "b.h5ad"}) {
        try {
            export_embeddings({npy_, tsv_}, folder_.path() / name, kOrigin);
            ADD_FAILURE() << name;
        } catch (Error const& error) { EXPECT_EQ(error.code(), ErrorCode::malformed_input) << error.what(); }
        EXPECT_THROW(export_embeddings({npy_, tsv_}, folder_.path() / "none" / name, kOrigin), Error);
    }
    EXPECT_THROW(export_embeddings({npy_, tsv_}, folder_.path() / "b.parquet", kOrigin), Error);
    EXPECT_EQ(std::distance(fs::directory_iterator(folder_.path()), {}), 2);
}

TEST_F(EmbeddingExport, OneLongNameMakesNoLargeFileOfNumPy) {
    auto const message = [&](index_t rows, index_t width, index_t longest, index_t most_bytes) -> std::string {
        std::string lines = "name\tstart\tend\n" + std::string(static_cast<std::size_t>(longest), 'n') + "\t0\t1\n";
        for (index_t row = 1; row < rows; ++row) {
            lines += "r\t0\t1\n";
        }
        write(std::vector<float>(static_cast<std::size_t>(rows * width)), width, lines);
        FileSizeLimit const full(1 << 16); // what is wrongly taken does not fill the disk
        try {
            write_npz({npy_, tsv_}, folder_.path() / "b.npz", most_bytes);
        } catch (Error const& error) {
            EXPECT_FALSE(fs::exists(folder_.path() / "b.npz"));
            return error.message();
        }
        return "";
    };
    EXPECT_NE(message(3, 1, 10, 119)
                  .find("b.npz: NumPy makes every text of \"names\" as wide as the longest, of 10 "
                        "letters, so that 3 of them would take more than 119 bytes; take .h5"),
              std::string::npos);
    EXPECT_EQ(message(3, 1, 10, 120), "");
    EXPECT_EQ(message(3, 10, 10, 0), "") << "no more than the vectors";
    fs::remove(folder_.path() / "b.npz");
    // 2 MiB a name.
    EXPECT_NE(message(513, 1, 1 << 19, kMostTextBytes).find("more than 1073741824 bytes"), std::string::npos);
    export_embeddings({npy_, tsv_}, folder_.path() / "b.h5", kOrigin);
    EXPECT_LT(fs::file_size(folder_.path() / "b.h5"), 8U << 20) << "each at its own length";
}

// A limit of the process stands for a full disk. Its end is looked at too: the HDF5 library used to crash there.
TEST_F(EmbeddingExport, AFullDiskIsAnErrorAndLeavesNothing) {
    constexpr index_t kRows = 20000;
    std::string lines = "name\tstart\tend\n";
    for (index_t row = 0; row < kRows; ++row) {
        lines += "r\t0\t1\n";
    }
    write(std::vector<float>(kRows * 4), 4, lines);
    for (auto const* const name : {"b.npz", "b.h5", "b.h5ad"}) {
        auto const run_out = [&] {
            rlimit const limit{100000, 100000};
            ::setrlimit(RLIMIT_FSIZE, &limit);
            std::signal(SIGXFSZ, SIG_IGN); // the write fails then
            try {
                export_embeddings({npy_, tsv_}, folder_.path() / name, kOrigin);
            } catch (Error const& error) { std::exit(error.code() == ErrorCode::io ? 7 : 8); }
            std::exit(9);
        };
        EXPECT_EXIT(run_out(), testing::ExitedWithCode(7), "") << name;
    }
    EXPECT_EQ(std::distance(fs::directory_iterator(folder_.path()), {}), 2);
}

TEST_F(EmbeddingExport, SameEmbeddingSameBytes) {
    write({1, 2, 3, 4}, 2, "name\tstart\tend\na\t0\t1\na\t1\t2\n");
    for (std::string const ending : {".npz", ".h5", ".h5ad"}) {
        for (auto const* const stem : {"b", "c"}) {
            export_embeddings({npy_, tsv_}, folder_.path() / (stem + ending), kOrigin);
        }
        EXPECT_EQ(read_text(folder_.path() / ("b" + ending)), read_text(folder_.path() / ("c" + ending))) << ending;
    }
}

} // namespace
} // namespace strandwave
