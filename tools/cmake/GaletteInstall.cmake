# cmake --install: the program, the libraries with their headers and a CMake package, the job
# scripts, and the documentation that the program writes about itself.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/galette)

# Libraries are found at run time where they were found now. CMake leaves out of the link path what
# lies inside the project, where tools/setup.sh puts LibTorch.
set(library_folders ${LibTorch_LIBRARY_DIR} ${CUDAToolkit_LIBRARY_DIR})
if(GALETTE_USE_CUDA)
  get_filename_component(nccl_folder ${GALETTE_NCCL_LIBRARY} DIRECTORY)
  list(APPEND library_folders ${nccl_folder})
endif()
set_target_properties(galette PROPERTIES
  INSTALL_RPATH "${library_folders}" INSTALL_RPATH_USE_LINK_PATH ON)
install(TARGETS galette RUNTIME)

# The libraries. galette::galette stands for all of them.
add_library(galette_all INTERFACE)
target_link_libraries(galette_all INTERFACE galette_training)
set_target_properties(galette_all PROPERTIES EXPORT_NAME galette)
set(layers kernels io base parallel models metrics training)
foreach(layer options ${layers})
  set_target_properties(galette_${layer} PROPERTIES EXPORT_NAME ${layer})
  install(TARGETS galette_${layer} EXPORT galette)
endforeach()
install(TARGETS galette_all EXPORT galette)
install(EXPORT galette FILE galette-targets.cmake NAMESPACE galette:: DESTINATION ${package_dir})
foreach(layer IN LISTS layers)
  set(folder ${PROJECT_SOURCE_DIR}/src/${layer})
  if(NOT EXISTS ${folder})
    set(folder ${PROJECT_SOURCE_DIR}/${layer})
  endif()
  install(DIRECTORY ${folder}/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/galette/${layer}
    FILES_MATCHING PATTERN *.h)
endforeach()

get_filename_component(GALETTE_TORCH_ROOT ${LibTorch_INCLUDE_DIR} DIRECTORY)
get_filename_component(GALETTE_CUDA_ROOT "${CUDAToolkit_BIN_DIR}" DIRECTORY)
configure_file(${PROJECT_SOURCE_DIR}/tools/cmake/galette-config.cmake.in
  ${PROJECT_BINARY_DIR}/galette-config.cmake @ONLY)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/galette-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/galette-config.cmake
  ${PROJECT_BINARY_DIR}/galette-config-version.cmake
  tools/cmake/FindLibTorch.cmake tools/cmake/GaletteFmt.cmake tools/cmake/GaletteHdf5.cmake
  DESTINATION ${package_dir})

install(DIRECTORY jobs/ DESTINATION ${CMAKE_INSTALL_DATADIR}/galette/jobs USE_SOURCE_PERMISSIONS)
install(FILES README.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

# The program describes itself.
set(galette_cmd ${CMAKE_COMMAND} -E env ASAN_OPTIONS=detect_leaks=0 $<TARGET_FILE:galette>)
add_custom_command(OUTPUT galette.1 galette.bash _galette
  COMMAND ${galette_cmd} man > galette.1
  COMMAND ${galette_cmd} completion bash > galette.bash
  COMMAND ${galette_cmd} completion zsh > _galette
  DEPENDS galette COMMENT "Writing the manual page and shell completions" VERBATIM)
add_custom_target(galette_docs ALL DEPENDS galette.1 galette.bash _galette)
install(FILES ${PROJECT_BINARY_DIR}/galette.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${PROJECT_BINARY_DIR}/galette.bash RENAME galette
  DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES ${PROJECT_BINARY_DIR}/_galette DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
