# Builds with a sanitizer: cmake -DUNDICED_SANITIZE=address (or thread, undefined).
set(UNDICED_SANITIZE "" CACHE STRING "thread, address or undefined: build with that sanitizer")
if(UNDICED_SANITIZE)
  add_compile_options(-fsanitize=${UNDICED_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -g1)
  add_link_options(-fsanitize=${UNDICED_SANITIZE})
  # The kernels are unrolled loops: with full optimization and inline checks their compilation takes ten minutes a file.
  set(UNDICED_SANITIZED_KERNEL_FLAGS -O1)
  if(UNDICED_SANITIZE STREQUAL "address" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    list(APPEND UNDICED_SANITIZED_KERNEL_FLAGS "SHELL:--param asan-instrumentation-with-call-threshold=0")
  endif()
endif()
