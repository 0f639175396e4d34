#include "formats/hdf5_writer.h"

#include "lib/core/error.h"
#include "tests/support/temp_dir.h"

#include <cstdlib>
#include <gtest/gtest.h>
#include <iterator>
#include <numeric>
#include <string>
#include <vector>

namespace strandwave {
namespace {

namespace fs = std::filesystem;

TEST(Hdf5Writer, AnAbandonedFileLeavesNothing) {
    TempDir const dir;
    {
        Hdf5Writer writer(dir.path() / "a.h5", 2);
        std::vector<float> const row{1, 2};
        writer.begin_record("r", 0, 1);
        writer.append({row.data(), 1, 2});
    }
    EXPECT_EQ(std::distance(fs::directory_iterator(dir.path()), {}), 0);
}

TEST(Hdf5Writer, WrongUseIsAnError) {
    TempDir const dir;
    EXPECT_THROW(Hdf5Writer(dir.path() / "a.h5", 0), Error);
    EXPECT_THROW(Hdf5Writer(dir.path() / "none" / "a.h5", 2), Error);
    Hdf5Writer writer(dir.path() / "a.h5", 2);
    std::vector<float> const row{1, 2, 3};
    EXPECT_THROW(writer.append({row.data(), 1, 2}), Error);
    writer.begin_record("r", 0, 1);
    EXPECT_THROW(writer.append({row.data(), 1, 3}), Error);
}

// Row i of record r holds r * 1e6 + i in column 0 and its negative in column 1.
TEST(Hdf5Writer, H5pyReadsRecordsOfAnyLength) {
    if (std::system("/usr/bin/python3 -c 'import h5py' 2> /dev/null") != 0) { GTEST_SKIP() << "no h5py"; }
    TempDir const dir;
    auto const path = dir.path() / "a.h5";
    std::vector<index_t> const lengths{3, 0, 100000, 32768, 1};
    Hdf5Writer writer(path, 2);
    for (std::size_t record = 0; record < lengths.size(); ++record) {
        writer.begin_record("name " + std::to_string(record), 10, 10 + lengths[record]);
        std::vector<float> rows;
        for (index_t i = 0; i < lengths[record]; ++i) {
            auto const value = static_cast<float>(static_cast<index_t>(record) * 1000000 + i);
            rows.insert(rows.end(), {value, -value});
        }
        index_t const piece = record == 2 ? 777 : 100000;
        for (index_t begin = 0; begin < lengths[record]; begin += piece) {
            writer.append({rows.data() + 2 * begin, std::min(piece, lengths[record] - begin), 2});
        }
    }
    EXPECT_FALSE(fs::exists(path)) << "in place before it is whole";
    writer.close();
    auto const script = "import h5py, sys, numpy as n; f = h5py.File(sys.argv[1]); L = [3, 0, 100000, 32768, 1];"
                        "assert list(f['lengths']) == L and list(f['starts']) == [10] * 5;"
                        "assert list(f['ends']) == [10 + l for l in L];"
                        "assert [s.decode() for s in f['names']] == ['name %d' % r for r in range(5)];"
                        "E = [f['embeddings/%d' % r] for r in range(5)];"
                        "assert all(e.dtype == n.float32 and e.shape == (l, 2) for e, l in zip(E, L));"
                        "assert all((e[:, 0] == r * 1000000 + n.arange(e.shape[0])).all() for r, e in enumerate(E));"
                        "assert all((e[:, 1] == -e[:, 0]).all() for e in E);"
                        "assert all(e.attrs['name'] == 'name %d' % r for r, e in enumerate(E));"
                        "assert all(e.attrs['start'] == 10 and e.attrs['end'] == 10 + l for e, l in zip(E, L))";
    auto const command = std::string("/usr/bin/python3 -c \"") + script + "\" " + path.string();
    EXPECT_EQ(std::system(command.c_str()), 0);
}

} // namespace
} // namespace strandwave
