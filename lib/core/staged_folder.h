#pragma once

#include <filesystem>
#include <functional>

namespace strandwave {

/// An output folder in the making: files are written into `path()`, a folder beside the final one, and take their
/// places together by `commit()`. Without it nothing is left behind.
class StagedFolder {
public:
    /// Throws io.
    explicit StagedFolder(std::filesystem::path const& final_folder);
    ~StagedFolder();
    StagedFolder(StagedFolder const&) = delete;
    StagedFolder& operator=(StagedFolder const&) = delete;

    std::filesystem::path const& path() const noexcept { return path_; }

    /// Calls `write(path())`. What it throws of type Error names the final folder in place of this one, which nobody
    /// who reads the message has heard of.
    void fill(std::function<void(std::filesystem::path const& folder)> const& write) const;

    /// A final folder that is there already keeps its other files; those of the same name are replaced. Throws io.
    void commit();

private:
    std::filesystem::path final_folder_; ///< without a slash at its end
    std::filesystem::path path_;
};

} // namespace strandwave
