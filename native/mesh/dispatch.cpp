// Which table of sums a level uses.
#include <stdexcept>

#include "sums.h"

namespace undiced::mesh {

const Sums& sums(Isa isa) {
    if (!supported(isa)) throw std::runtime_error("this processor can't run the mesh executor's level");
#if defined(UNDICED_X86)
    if (isa != Isa::kPortable) return kAvx2Sums;
#endif
    return kPortableSums;
}

}  // namespace undiced::mesh
