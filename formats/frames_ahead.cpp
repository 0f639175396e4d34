#include "formats/frames_ahead.h"

#include "formats/read_ahead.h"

#include <algorithm>
#include <span>
#include <vector>

namespace strandwave {
namespace {

constexpr index_t kBlockSamples = 1 << 16;

class FramesAhead final : public FrameSource {
public:
    FramesAhead(std::unique_ptr<FrameSource> source, index_t channels)
        : source_(std::move(source)), channels_(channels), blocks_([this](Samples& block) { return fill(block); }) {}

    Result<index_t> read(float* to, index_t frames) override {
        index_t const wanted = frames * channels_;
        index_t got = 0;
        try {
            while (got < wanted && (!rest_.empty() || next_block())) {
                auto const part = rest_.first(std::min(rest_.size(), static_cast<std::size_t>(wanted - got)));
                std::copy(part.begin(), part.end(), to + got);
                rest_ = rest_.subspan(part.size());
                got += static_cast<index_t>(part.size());
            }
        } catch (Error const& error) { return error; }
        return got / channels_;
    }

private:
    using Samples = std::vector<float>; ///< whole frames

    bool next_block() {
        auto const* const block = blocks_.next();
        if (block != nullptr) { rest_ = *block; }
        return block != nullptr;
    }

    bool fill(Samples& block) {
        if (source_ended_) { return false; }
        index_t const frames = std::max<index_t>(kBlockSamples / channels_, 1);
        block.resize(static_cast<std::size_t>(frames * channels_));
        index_t const got = source_->read(block.data(), frames).value();
        block.resize(static_cast<std::size_t>(got * channels_));
        source_ended_ = got < frames;
        return got > 0;
    }

    std::unique_ptr<FrameSource> source_; ///< used by the other thread, as is source_ended_
    index_t channels_;
    bool source_ended_ = false;
    std::span<float const> rest_; ///< of the block in use
    ReadAhead<Samples> blocks_;
};

} // namespace

std::unique_ptr<FrameSource> decode_ahead(std::unique_ptr<FrameSource> source, index_t channels) {
    return std::make_unique<FramesAhead>(std::move(source), channels);
}

} // namespace strandwave
