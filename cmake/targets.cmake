# Helpers that make the targets of this project. Flags are set per target, never globally.

function(strandwave_compile_options target)
    target_compile_features(${target} PUBLIC cxx_std_20)
    set(flags -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion
        $<$<BOOL:${STRANDWAVE_WERROR}>:-Werror>
        # g++ 12 at -O3 sees overlapping copies in std::string's operator+ that are not there (GCC bug 105651), and
        # uninitialised members of standard containers that an exception leaves half made.
        "$<$<CXX_COMPILER_ID:GNU>:-Wno-restrict;-Wno-maybe-uninitialized>"
        # One meaning for a*b+c everywhere: fused only where the code says so. Bitwise promises rest on it.
        -ffp-contract=off)
    # CMake 3.25 does not know nvcc's flag for C++20. In device code too a fused multiply-add is one we wrote.
    # 554: nvcc takes a conversion that `requires` rules out for one that is never called.
    set(cuda_flags -std=c++20 -fmad=false -lineinfo -Wno-deprecated-gpu-targets -diag-suppress=554
        -Xcompiler=-Wall,-Wextra,-ffp-contract=off $<$<BOOL:${STRANDWAVE_WERROR}>:-Werror=all-warnings>)
    target_compile_options(${target} PRIVATE
        "$<$<COMPILE_LANGUAGE:CXX>:${flags}>" "$<$<COMPILE_LANGUAGE:CUDA>:${cuda_flags}>")
    if(STRANDWAVE_SANITIZE)
        target_compile_options(${target} PRIVATE
            "$<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${STRANDWAVE_SANITIZE};-fno-sanitize-recover=all;-fno-omit-frame-pointer>")
        target_link_options(${target} PUBLIC -fsanitize=${STRANDWAVE_SANITIZE})
    endif()
endfunction()

# For code that waits for no arithmetic of its own: to optimise it costs more time than it takes to run, and with
# sanitizers it would be most of the time of the whole build. At -O1 g++ 12 sees copies past the end of std::string that
# are not there.
function(strandwave_compile_quickly target)
    if(STRANDWAVE_SANITIZE)
        target_compile_options(${target} PRIVATE -O0)
    else()
        target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O1>)
    endif()
    target_compile_options(${target} PRIVATE
        "$<$<CXX_COMPILER_ID:GNU>:-Wno-array-bounds;-Wno-stringop-overflow>")
endfunction()

# add_room(<name> <folder>... PUBLIC <targets> PRIVATE <targets>): the static library strandwave_<name> of all sources
# below the folders but the *_reference.cpp (those serve tests and benchmarks only), with its headers installed.
# What needs the CUDA toolkit is known by its name: *.cu, *_cuda.cpp, cuda_*.cpp, and two files of lib/cuda.
function(add_room name)
    cmake_parse_arguments(ROOM "" "" "PUBLIC;PRIVATE" ${ARGN})
    set(target strandwave_${name})
    set(sources)
    set(headers)
    foreach(folder IN LISTS ROOM_UNPARSED_ARGUMENTS)
        file(GLOB_RECURSE found CONFIGURE_DEPENDS ${folder}/*.cpp ${folder}/*.cu)
        list(APPEND sources ${found})
        file(GLOB_RECURSE found CONFIGURE_DEPENDS ${folder}/*.h)
        list(APPEND headers ${found})
    endforeach()
    list(FILTER sources EXCLUDE REGEX "_reference\\.cpp$")
    if(NOT STRANDWAVE_HAS_CUDA)
        list(FILTER sources EXCLUDE REGEX "lib/cuda/(stream|device_memory)\\.cpp$|\\.cu$|_cuda\\.cpp$|/cuda_[a-z_]+\\.cpp$")
    endif()
    list(FILTER headers EXCLUDE REGEX "-inl\\.h$")
    add_library(${target} STATIC ${sources})
    add_library(strandwave::${name} ALIAS ${target})
    target_sources(${target} PUBLIC FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR} FILES ${headers})
    target_include_directories(${target} PUBLIC
        $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/strandwave>)
    target_link_libraries(${target} PUBLIC ${ROOM_PUBLIC} PRIVATE ${ROOM_PRIVATE})
    strandwave_compile_options(${target})
    if(STRANDWAVE_BUILD_FUZZERS)
        target_compile_options(${target} PRIVATE -fsanitize=fuzzer-no-link)
    endif()
    set_target_properties(${target} PROPERTIES EXPORT_NAME ${name} POSITION_INDEPENDENT_CODE ON)
    install(TARGETS ${target} EXPORT strandwaveTargets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
        FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/strandwave)
endfunction()

# For a room with loops in Highway's vectors, compiled once for each instruction set.
function(strandwave_use_highway target)
    target_link_libraries(${target} PRIVATE hwy::hwy)
    # Fewer copies of each loop to compile: who has SSSE3 but not SSE4 gets the portable one.
    target_compile_definitions(${target} PRIVATE HWY_DISABLED_TARGETS=HWY_SSSE3)
    if(STRANDWAVE_SANITIZE AND CMAKE_SYSTEM_PROCESSOR STREQUAL x86_64)
        # SSE4 takes the place of the portable copy, which has four lanes too: with sanitizers, its loops over lanes
        # are most of the time to compile the kernels.
        target_compile_options(${target} PRIVATE -msse4.2 -maes -mpclmul)
    endif()
endfunction()

# strandwave_reference: the double-precision loops that say what each op computes. Never linked into the program.
function(add_reference_library)
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels/*_reference.cpp)
    add_library(strandwave_reference STATIC ${sources})
    target_link_libraries(strandwave_reference PUBLIC strandwave_kernels)
    strandwave_compile_options(strandwave_reference)
endfunction()
