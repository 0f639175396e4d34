#include "formats/checksum.h"

#include "lib/core/error.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <htslib/hts.h>
#include <memory>
#include <new>
#include <vector>

namespace strandwave {
namespace {

constexpr index_t kBuffer = index_t{1} << 18;

class Md5 {
public:
    Md5() : context_(hts_md5_init()) {
        if (!context_) { throw std::bad_alloc(); }
    }
    void add(char const* data, std::size_t bytes) {
        hts_md5_update(context_.get(), data, static_cast<unsigned long>(bytes));
    }
    std::string hex() {
        std::array<unsigned char, 16> digest{};
        std::array<char, 33> text{};
        hts_md5_final(digest.data(), context_.get());
        hts_md5_hex(text.data(), digest.data());
        return text.data();
    }

private:
    struct Destroy {
        void operator()(hts_md5_context* context) const noexcept { hts_md5_destroy(context); }
    };
    std::unique_ptr<hts_md5_context, Destroy> context_;
};

} // namespace

std::string md5_of_text(std::string_view text) {
    Md5 md5;
    md5.add(text.data(), text.size());
    return md5.hex();
}

std::string md5_of_file(std::filesystem::path const& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) { throw Error(ErrorCode::not_found, path.string() + ": cannot be read"); }
    Md5 md5;
    std::vector<char> buffer(kBuffer);
    while (file.read(buffer.data(), static_cast<std::streamsize>(buffer.size())) || file.gcount() > 0) {
        md5.add(buffer.data(), static_cast<std::size_t>(file.gcount()));
    }
    if (file.bad()) { throw Error(ErrorCode::io, path.string() + ": cannot be read"); }
    return md5.hex();
}

std::string md5_of_stretch(std::filesystem::path const& path, index_t begin, index_t end) {
    std::ifstream file(path, std::ios::binary);
    file.seekg(begin);
    Md5 md5;
    std::vector<char> buffer(static_cast<std::size_t>(std::clamp<index_t>(end - begin, 0, kBuffer)));
    while (begin < end) {
        auto const now = std::min<index_t>(end - begin, kBuffer);
        if (!file.read(buffer.data(), now)) { return {}; }
        md5.add(buffer.data(), static_cast<std::size_t>(now));
        begin += now;
    }
    return file ? md5.hex() : std::string();
}

} // namespace strandwave
