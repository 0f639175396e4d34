// Loads a model through the installed headers and libraries, and pools a short sequence.
#include "lib/core/error.h"
#include "lib/core/threads.h"
#include "lib/model/model.h"
#include "lib/model/session.h"

#include <cmath>
#include <cstdint>
#include <iostream>
#include <vector>

int main(int argc, char** argv) {
    if (argc != 2) {
        std::cerr << "usage: consumer MODEL_DIRECTORY\n";
        return 2;
    }
    try {
        auto const model = strandwave::Model::load(argv[1]);
        strandwave::Threads threads(1);
        strandwave::Session session(model, threads, {});

        std::vector<std::int32_t> const tokens = {7, 8, 9, 10, 7, 7, 9};
        strandwave::FeedInput input;
        input.tokens = tokens;
        strandwave::Piece piece;
        piece.length = static_cast<strandwave::index_t>(tokens.size());
        auto const results = session.feed(input, {&piece, 1});

        if (results.size() != 1 || results[0].length != piece.length) { return 1; }
        double sum_of_squares = 0;
        for (float const x : results[0].pooled) {
            sum_of_squares += static_cast<double>(x) * static_cast<double>(x);
        }
        std::cout << "d_model " << results[0].pooled.size() << ", norm " << std::sqrt(sum_of_squares) << '\n';
        bool const as_wide = static_cast<strandwave::index_t>(results[0].pooled.size()) == model->config().d_model;
        return as_wide && std::isfinite(sum_of_squares) && sum_of_squares > 0 ? 0 : 1;
    } catch (strandwave::Error const& error) {
        std::cerr << "consumer: " << error.message() << '\n';
        return 2;
    }
}
