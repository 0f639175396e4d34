#include "lib/train/train_ops.h"

#include "lib/core/error.h"

namespace strandwave {

std::unique_ptr<TrainOps> make_train_ops(Device device, DType dtype) {
    if (!device.is_gpu()) {
        if (dtype == DType::f32) { return make_cpu_train_ops(); }
        throw Error(ErrorCode::unsupported, "training on the processor is in f32");
    }
#if STRANDWAVE_HAS_CUDA
    return make_cuda_train_ops(device, dtype);
#else
    throw Error(ErrorCode::device, device.name() + ": built without CUDA");
#endif
}

} // namespace strandwave
