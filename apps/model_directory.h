#pragma once

#include <filesystem>

namespace strandwave {

/// A model directory in the making: files are written into `staging()`, a folder beside it, and put in place together
/// by `commit()`. Without it nothing is left behind.
class NewModelDirectory {
public:
    /// Throws already_exists (without `force`, if something of that name is there), io.
    NewModelDirectory(std::filesystem::path const& directory, bool force);
    ~NewModelDirectory();
    NewModelDirectory(NewModelDirectory const&) = delete;
    NewModelDirectory& operator=(NewModelDirectory const&) = delete;

    std::filesystem::path const& staging() const noexcept { return staging_; }

    /// A directory that exists keeps its other files; those of the same name are replaced. Throws io.
    void commit();

private:
    std::filesystem::path directory_;
    std::filesystem::path staging_;
};

} // namespace strandwave
