# Finds LibTorch (2.6 or newer) without its own CMake package, which insists on CUDA languages even
# for programs that never touch a GPU. Looks in the usual places: CMAKE_PREFIX_PATH, LibTorch_ROOT,
# Torch_ROOT, or the project-local folder that tools/setup.sh fills.
#
# Gives: LibTorch::cpu, LibTorch::cuda (when present), LibTorch_VERSION, LibTorch_LIBRARY_DIR.
include(FindPackageHandleStandardArgs)

file(GLOB _local_torch "${PROJECT_SOURCE_DIR}/.deps/venv/lib/python3*/site-packages/torch")
# Torch_DIR and PyTorch's usual CMAKE_PREFIX_PATH point to <torch>/share/cmake[/Torch].
set(_torch_hints ${Torch_ROOT} ${Torch_DIR}/../../.. ${Torch_DIR}/../..)
foreach(_prefix IN LISTS CMAKE_PREFIX_PATH)
  list(APPEND _torch_hints ${_prefix} ${_prefix}/../..)
endforeach()

find_path(LibTorch_INCLUDE_DIR ATen/ATen.h HINTS ${_torch_hints} ${_local_torch}
          PATH_SUFFIXES include torch/include)
find_path(LibTorch_API_INCLUDE_DIR torch/version.h HINTS ${LibTorch_INCLUDE_DIR}
          PATH_SUFFIXES torch/csrc/api/include NO_DEFAULT_PATH)
get_filename_component(_torch_root "${LibTorch_INCLUDE_DIR}" DIRECTORY)
foreach(_lib c10 torch_cpu torch torch_cuda c10_cuda)
  find_library(LibTorch_${_lib}_LIBRARY ${_lib} HINTS ${_torch_root} PATH_SUFFIXES lib NO_DEFAULT_PATH)
endforeach()

# The version moved from one header to the other in the course of 2.x.
foreach(_header ${LibTorch_API_INCLUDE_DIR}/torch/version.h
                ${LibTorch_INCLUDE_DIR}/torch/headeronly/version.h)
  if(EXISTS "${_header}")
    file(READ "${_header}" _version_text)
    if(_version_text MATCHES "TORCH_VERSION_MAJOR ([0-9]+)")
      set(LibTorch_VERSION "${CMAKE_MATCH_1}")
      string(REGEX MATCH "TORCH_VERSION_MINOR ([0-9]+)" _ "${_version_text}")
      string(APPEND LibTorch_VERSION ".${CMAKE_MATCH_1}")
      string(REGEX MATCH "TORCH_VERSION_PATCH ([0-9]+)" _ "${_version_text}")
      string(APPEND LibTorch_VERSION ".${CMAKE_MATCH_1}")
    endif()
  endif()
endforeach()
get_filename_component(LibTorch_LIBRARY_DIR "${LibTorch_torch_cpu_LIBRARY}" DIRECTORY)

find_package_handle_standard_args(LibTorch
  REQUIRED_VARS LibTorch_torch_cpu_LIBRARY LibTorch_c10_LIBRARY LibTorch_INCLUDE_DIR
                LibTorch_API_INCLUDE_DIR
  VERSION_VAR LibTorch_VERSION)

if(LibTorch_FOUND AND NOT TARGET LibTorch::cpu)
  # Wheels keep the CUDA run-time libraries beside torch/, in nvidia/<name>/lib; the linker must
  # find them to resolve what libtorch_cpu and libtorch_cuda need.
  file(GLOB _nvidia_dirs "${_torch_root}/../nvidia/*/lib")
  set(_link_options "LINKER:-rpath-link,${LibTorch_LIBRARY_DIR}")
  foreach(_dir IN LISTS _nvidia_dirs)
    list(APPEND _link_options "LINKER:-rpath-link,${_dir}")
  endforeach()

  add_library(LibTorch::cpu INTERFACE IMPORTED)
  target_include_directories(LibTorch::cpu SYSTEM INTERFACE
    ${LibTorch_INCLUDE_DIR} ${LibTorch_API_INCLUDE_DIR})
  target_link_libraries(LibTorch::cpu INTERFACE ${LibTorch_torch_cpu_LIBRARY} ${LibTorch_c10_LIBRARY})
  target_link_options(LibTorch::cpu INTERFACE ${_link_options})
  # The C++ ABI must be the one that LibTorch was built with.
  file(GLOB _torch_config "${_torch_root}/share/cmake/Torch/TorchConfig.cmake")
  if(_torch_config)
    file(STRINGS "${_torch_config}" _abi_line REGEX "GLIBCXX_USE_CXX11_ABI=[01]")
    if(_abi_line MATCHES "GLIBCXX_USE_CXX11_ABI=([01])")
      target_compile_definitions(LibTorch::cpu INTERFACE _GLIBCXX_USE_CXX11_ABI=${CMAKE_MATCH_1})
    endif()
  endif()

  if(LibTorch_torch_cuda_LIBRARY AND LibTorch_c10_cuda_LIBRARY)
    add_library(LibTorch::cuda INTERFACE IMPORTED)
    # Its operators register themselves when the library is loaded; no symbol of it is referenced.
    target_link_libraries(LibTorch::cuda INTERFACE LibTorch::cpu ${LibTorch_c10_cuda_LIBRARY}
      "-Wl,--no-as-needed,${LibTorch_torch_cuda_LIBRARY},--as-needed")
  endif()
endif()
