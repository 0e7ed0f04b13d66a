# Galette::hdf5: the C library of parallel HDF5. Debian keeps it beside the serial one, as
# "hdf5-openmpi" in pkg-config; elsewhere FindHDF5 is told to prefer the parallel build.
find_package(PkgConfig REQUIRED)
if(NOT HDF5_ROOT AND NOT HDF5_DIR)
  pkg_check_modules(HDF5_PARALLEL IMPORTED_TARGET hdf5-openmpi)
endif()
add_library(Galette::hdf5 INTERFACE IMPORTED)
if(HDF5_PARALLEL_FOUND)
  target_link_libraries(Galette::hdf5 INTERFACE PkgConfig::HDF5_PARALLEL)
else()
  set(HDF5_PREFER_PARALLEL ON)
  find_package(HDF5 REQUIRED COMPONENTS C)
  if(NOT HDF5_IS_PARALLEL)
    message(FATAL_ERROR "HDF5 at ${HDF5_INCLUDE_DIRS} was built without MPI; install a parallel HDF5 "
                        "(Debian: libhdf5-openmpi-dev) or point HDF5_ROOT to one")
  endif()
  target_include_directories(Galette::hdf5 INTERFACE ${HDF5_INCLUDE_DIRS})
  target_link_libraries(Galette::hdf5 INTERFACE ${HDF5_LIBRARIES})
endif()
