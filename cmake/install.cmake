# cmake --install: the program, the static libraries with their headers, and find_package(strandwave).
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/strandwave)
install(TARGETS strandwave RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(EXPORT strandwaveTargets NAMESPACE strandwave:: DESTINATION ${package_dir})
configure_package_config_file(cmake/strandwaveConfig.cmake.in ${PROJECT_BINARY_DIR}/strandwaveConfig.cmake
    INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/strandwaveConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/strandwaveConfig.cmake ${PROJECT_BINARY_DIR}/strandwaveConfigVersion.cmake
    cmake/dependencies.cmake DESTINATION ${package_dir})
