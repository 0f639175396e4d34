#pragma once

#include "pipelines/record_labels.h"

namespace CLI {
class App;
}

namespace strandwave {

/// --labels --labels-from --header-key; LabelSource checks that there is one source.
void add_label_flags(CLI::App& command, LabelOptions& options);

} // namespace strandwave
