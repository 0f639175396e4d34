#pragma once

#include "apps/common_options.h"

#include <string>
#include <vector>

namespace strandwave {

/// Feeds `examples` examples of each task (synthetic_tasks.h), which training has not seen, through the language model
/// in pieces of `opened.chunk` tokens, and prints task, length, targets, right ones and their share, tab-separated.
/// Throws unsupported (no language model), invalid_argument (the task has more tokens than the model).
void evaluate_synthetic(OpenedModel const& opened, std::vector<std::string> const& tasks, index_t examples);

} // namespace strandwave
