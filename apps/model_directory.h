#pragma once

#include "lib/core/staged_folder.h"

namespace strandwave {

/// A model directory, or another folder of results, that a command makes: whole or not there. A signal leaves nothing
/// behind either.
class NewModelDirectory {
public:
    /// Throws already_exists (without `force`, if something of that name is there), io.
    NewModelDirectory(std::filesystem::path const& directory, bool force);

    /// As StagedFolder.
    void fill(std::function<void(std::filesystem::path const& folder)> const& write) const { folder_.fill(write); }

    /// A directory that exists keeps its other files; those of the same name are replaced. Throws io.
    void commit();

private:
    StagedFolder folder_;
};

} // namespace strandwave
