#include <pybind11/stl.h>

#include "bind/bind.h"
#include "core/dispatch.h"
#include "core/parallel.h"

PYBIND11_MODULE(_core, module, pybind11::mod_gil_not_used()) {
  using namespace dynsample;
  module.doc() = "Native kernels of dynsample; use dynsample.ops.";
  kernels();      // a wrong DYNSAMPLE_ISA fails here, with its message, not in the first epoch
  num_threads();  // and a wrong DYNSAMPLE_THREADS
  module.def("isa", &isa_name);
  module.def("available_isas", &available_isas);
  module.def("num_threads", &num_threads);
  module.def("set_num_threads", &set_num_threads, pybind11::arg("threads"));
  bind::bind_by_group(module);
  bind::bind_digest(module);
  bind::bind_file_list(module);
  bind::bind_fold(module);
  bind::bind_history(module);
  bind::bind_jpeg(module);
  bind::bind_log(module);
  bind::bind_mask(module);
  bind::bind_draw(module);
  bind::bind_gather(module);
  bind::bind_order(module);
  bind::bind_random(module);
  bind::bind_select(module);
  bind::bind_shard(module);
  bind::bind_sum(module);
  bind::bind_tree(module);
}
