# Decides whether the CUDA kernels are built. nvcc is looked for in PATH, CUDA_HOME, the usual
# system folder and the project-local wheels; GALETTE_CUDA=ON makes its absence an error.
include(CheckLanguage)

set(GALETTE_USE_CUDA OFF)
if(NOT GALETTE_CUDA STREQUAL "OFF")
  if(NOT CMAKE_CUDA_COMPILER)
    file(GLOB _wheel_nvcc
      "${PROJECT_SOURCE_DIR}/.deps/venv/lib/python3*/site-packages/nvidia/cu1*/bin")
    find_program(GALETTE_NVCC nvcc
      HINTS $ENV{CUDA_HOME}/bin $ENV{CUDA_PATH}/bin /usr/local/cuda/bin ${_wheel_nvcc})
    if(GALETTE_NVCC)
      set(CMAKE_CUDA_COMPILER ${GALETTE_NVCC})
    endif()
  endif()
  # Naming the architectures before the language is enabled keeps CMake from asking for a GPU.
  set(CMAKE_CUDA_ARCHITECTURES ${GALETTE_CUDA_ARCHS})
  if(CMAKE_CUDA_COMPILER)
    enable_language(CUDA)
    find_package(CUDAToolkit REQUIRED)
    # CMake 3.25 does not know C++20 for nvcc 13; the kernels need no more than C++17.
    set(CMAKE_CUDA_STANDARD 17)
    set(GALETTE_USE_CUDA ON)
  elseif(GALETTE_CUDA STREQUAL "ON")
    message(FATAL_ERROR "GALETTE_CUDA=ON, but no nvcc was found: put it in PATH, set CUDA_HOME, or "
                        "configure with -DGALETTE_CUDA=OFF")
  endif()
endif()
message(STATUS "CUDA kernels: ${GALETTE_USE_CUDA}")

# NCCL sums gradients over GPUs. LibTorch's wheel brings it along, without the plain .so link.
if(GALETTE_USE_CUDA)
  file(GLOB _wheel_nccl
    "${PROJECT_SOURCE_DIR}/.deps/venv/lib/python3*/site-packages/nvidia/nccl")
  find_path(GALETTE_NCCL_INCLUDE_DIR nccl.h
    HINTS ${NCCL_ROOT} $ENV{NCCL_ROOT} $ENV{NCCL_HOME} ${_wheel_nccl} PATH_SUFFIXES include)
  get_filename_component(_nccl_root "${GALETTE_NCCL_INCLUDE_DIR}" DIRECTORY)
  find_library(GALETTE_NCCL_LIBRARY NAMES nccl libnccl.so.2 NAMES_PER_DIR
    HINTS ${_nccl_root} ${NCCL_ROOT} PATH_SUFFIXES lib lib64)
  if(NOT GALETTE_NCCL_INCLUDE_DIR OR NOT GALETTE_NCCL_LIBRARY)
    message(FATAL_ERROR "nvcc was found, but not NCCL (nccl.h, libnccl.so.2): run tools/setup.sh, "
                        "give -DNCCL_ROOT=..., or configure with -DGALETTE_CUDA=OFF")
  endif()
endif()

# galette_add_gpu_sources(TARGET): links NCCL to a library that has the files gpu_*.cpp and
# nccl_communicator.cpp for GPUs, and no_gpu.cpp in their place.
function(galette_add_gpu_sources target)
  get_target_property(sources ${target} SOURCES)
  if(GALETTE_USE_CUDA)
    list(FILTER sources EXCLUDE REGEX "/no_gpu\\.cpp$")
    target_include_directories(${target} SYSTEM PUBLIC
      $<BUILD_INTERFACE:${GALETTE_NCCL_INCLUDE_DIR}>)
    target_link_libraries(${target} PUBLIC ${GALETTE_NCCL_LIBRARY})
  else()
    list(FILTER sources EXCLUDE REGEX "/(gpu_[a-z]+|nccl_communicator)\\.cpp$")
  endif()
  set_target_properties(${target} PROPERTIES SOURCES "${sources}")
endfunction()

# galette_add_cuda_kernels(TARGET FOLDER): the .cu bodies, or the one file that throws in their place.
function(galette_add_cuda_kernels target folder)
  get_target_property(sources ${target} SOURCES)
  list(FILTER sources EXCLUDE REGEX "no_cuda\\.cpp$")
  if(GALETTE_USE_CUDA)
    file(GLOB cuda_sources CONFIGURE_DEPENDS ${folder}/*.cu)
    list(APPEND sources ${cuda_sources})
    target_link_libraries(${target} PUBLIC LibTorch::cuda CUDA::cudart)
    target_compile_definitions(${target} PUBLIC GALETTE_USE_CUDA)
    target_compile_options(${target} PRIVATE
      $<$<COMPILE_LANGUAGE:CUDA>:--expt-relaxed-constexpr -lineinfo -Xfatbin=-compress-all>)
  else()
    list(APPEND sources ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/no_cuda.cpp)
  endif()
  set_target_properties(${target} PROPERTIES SOURCES "${sources}")
endfunction()
