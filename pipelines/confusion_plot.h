#pragma once

#include "pipelines/classification_metrics.h"

#include <string>
#include <vector>

namespace strandwave {

/// A confusion matrix as a heat map, a file of its own (SVG): true classes down, predicted ones across, counts in the
/// cells, shaded by their share of the true class's rows, so that rare classes are seen as well as common ones.
/// `names` are the classes'; long ones are cut short. Throws shape_mismatch for another number of names.
std::string confusion_svg(std::string const& title, std::vector<std::string> const& names, Confusion const& confusion);

} // namespace strandwave
