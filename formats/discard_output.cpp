#include "formats/discard_output.h"

#include <fcntl.h>
#include <htslib/hfile.h>
#include <unistd.h>

namespace strandwave {

void discard_output(hFILE* file, int descriptor) noexcept {
    int const nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    ::dup2(nowhere, descriptor);
    ::close(nowhere);
    hclearerr(file);
}

} // namespace strandwave
