#pragma once

#include <string_view>

namespace strandwave {

/// The style sheet of a report. Series k0 to k6 are colours that colour-blind readers can tell apart (Okabe and Ito
/// 2008, without the yellow, which white swallows); h1 to h7 are shades of one blue in equal steps of lightness.
std::string_view page_style();

} // namespace strandwave
