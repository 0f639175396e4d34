#include "apps/model_directory.h"

#include "apps/common_options.h"
#include "apps/interrupt.h"
#include "apps/output_path.h"

namespace strandwave {
namespace {

std::filesystem::path const& checked(std::filesystem::path const& directory, bool force) {
    check_output_folder(directory, force);
    throw_if_interrupted(); // and again in front of the end
    return directory;
}

} // namespace

NewModelDirectory::NewModelDirectory(std::filesystem::path const& directory, bool force)
    : folder_(checked(directory, force)) {}

void NewModelDirectory::commit() {
    throw_if_interrupted();
    folder_.commit();
}

} // namespace strandwave
