# LibTorch ships the headers of its own fmt but not the library. Where both are found, those of
# fmt::fmt must come first, and without what else lies in their folder.
#
# galette_fmt_include_dir(RESULT FOLDER): makes FOLDER/include with a link to the headers, and tells
# its path.
function(galette_fmt_include_dir result folder)
  get_target_property(fmt_include fmt::fmt INTERFACE_INCLUDE_DIRECTORIES)
  find_path(GALETTE_FMT_INCLUDE_DIR fmt/format.h HINTS ${fmt_include} NO_CMAKE_PATH
            NO_CMAKE_ENVIRONMENT_PATH)
  file(MAKE_DIRECTORY ${folder}/include)
  file(CREATE_LINK ${GALETTE_FMT_INCLUDE_DIR}/fmt ${folder}/include/fmt SYMBOLIC)
  set(${result} ${folder}/include PARENT_SCOPE)
endfunction()
