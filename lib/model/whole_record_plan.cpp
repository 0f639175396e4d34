#include "lib/model/whole_record_plan.h"

namespace strandwave {
namespace {

class Planner {
public:
    explicit Planner(index_t token_block) : token_block_(token_block) {}

    void add(StrandRows strand, bool own_section) {
        if (own_section) { close_section(); }
        strand.begin = section_.begin_block * token_block_ + rows_;
        rows_ += strand.length;
        section_.strands.push_back(strand);
        if (own_section) { close_section(); }
    }

    index_t rows() const { return rows_; }

    void close_section() {
        if (section_.strands.empty()) { return; }
        section_.end_block = section_.begin_block + (rows_ + token_block_ - 1) / token_block_;
        run_.blocks = section_.end_block;
        run_.sections.push_back(std::move(section_));
        section_ = {};
        section_.begin_block = run_.blocks;
        rows_ = 0;
    }

    void close_run() {
        close_section();
        if (!run_.sections.empty()) { runs_.push_back(std::move(run_)); }
        run_ = {};
        section_ = {};
    }

    std::vector<Run> take() {
        close_run();
        return std::move(runs_);
    }

private:
    index_t token_block_;
    std::vector<Run> runs_;
    Run run_;
    Section section_;
    index_t rows_ = 0; ///< of the open section
};

} // namespace

std::vector<Run> plan_whole_records(std::span<Piece const> pieces, int strands, index_t token_block) {
    Planner planner(token_block);
    index_t input = 0;
    for (std::size_t i = 0; i < pieces.size(); ++i) {
        index_t const length = pieces[i].length;
        bool const is_long = length >= kSectionRows;
        if (is_long) { planner.close_run(); }
        for (int strand = 0; strand < strands; ++strand) {
            planner.add({static_cast<index_t>(i), input, strand, 0, length}, is_long);
        }
        if (is_long || planner.rows() >= kSectionRows) { planner.close_run(); }
        input += length;
    }
    return planner.take();
}

} // namespace strandwave
