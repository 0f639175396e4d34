# Who may include what, and what no library code does. Run as a test:
#   cmake -DROOT=<repository> -P tests/rooms_test.cmake
# docs/ARCHITECTURE.md explains the table; this file is the table.
cmake_minimum_required(VERSION 3.25)

# room | its files | project headers that it may include | third-party headers that its .cpp and -inl.h files may include
set(table
    "lib/core"
        "^lib/core/" "^lib/core/" "^$"
    "lib/cuda"
        "^lib/cuda/" "^lib/(core|cuda)/" "^cuda_runtime[a-z_]*\\.h$"
    "kernels"
        "^kernels/" "^(lib/core|lib/cuda|kernels)/"
        "^(hwy/|oneapi/dnnl/|dnnl|omp\\.h|cuda_runtime[a-z_]*\\.h$|cuda_bf16\\.h$|cublasLt\\.h$|cooperative_groups|cuda/)"
    "lib/checkpoint, model, mixers, encode"
        "^lib/(checkpoint|model|mixers|encode)/" "^(lib/(core|cuda|checkpoint|model|mixers|encode)/|kernels/)"
        "^(hwy/|nlohmann/|soxr\\.h|lbfgs\\.h|zip\\.h)"
    "lib/train"
        "^lib/train/" "^(lib/|kernels/)" "^(nlohmann/|cuda_runtime[a-z_]*\\.h$)"
    "formats"
        "^formats/" "^(lib/core|formats)/" "^(htslib/|libdeflate\\.h|hwy/|sndfile\\.h|hdf5\\.h|archive(_entry)?\\.h)"
    "pipelines"
        "^pipelines/" "^(lib|formats|pipelines)/" "^(nlohmann|Eigen)/"
    "apps"
        "^apps/" "^(lib|kernels|formats|pipelines|apps)/" "^(CLI/|nlohmann/)")
# Single files that may include more than their room.
set(exception_lib/core/threads.cpp "^(oneapi/)?tbb/")

set(system_headers "^(sys/[a-z]+|unistd|fcntl|sched|signal|poll|termios|spawn|dlfcn|glob|semaphore|immintrin)\\.h$") # in .cpp files only
# Of no op: which instruction set all of them run on, and what their CUDA headers share.
set(shared_kernel_headers "^kernels/(simd/simd_target|cuda/[a-z_]+)\\.h$")
set(max_lines 600)

set(problems)
macro(problem text)
    list(APPEND problems "${text}")
endmacro()

function(check_include file header quoted own third_party)
    set(where "${file}: #include of ${header}")
    if(header MATCHES "^(lib|kernels|formats|pipelines|apps|tests)/")
        if(NOT header MATCHES "${own}")
            problem("${where}: another room, which this one may not enter")
        elseif(NOT file MATCHES "^kernels/" AND header MATCHES "^kernels/" AND NOT header MATCHES "${shared_kernel_headers}")
            # From outside, an op is its public header (kernels/<op>/<op>.h), that of its gradient and those of CUDA code.
            string(REGEX REPLACE "^kernels/(.*)/([^/]+)\\.h$" "\\1;\\2" parts "${header}")
            list(GET parts 0 op)
            list(GET parts -1 name)
            if(NOT name MATCHES "^(segment_)?${op}(_backward)?(_cuda)?$")
                problem("${where}: not the public header of an op")
            endif()
        endif()
        if(NOT EXISTS ${ROOT}/${header})
            problem("${where}: no such file; includes are written from the repository root")
        endif()
    elseif(NOT quoted AND header MATCHES "^[a-z0-9_]+$")
        # the standard library
    elseif(file MATCHES "\\.h$" AND NOT file MATCHES "-inl\\.h$" AND NOT file MATCHES "^apps/")
        problem("${where}: only standard and project headers in a public header")
    elseif(NOT header MATCHES "${system_headers}" AND NOT header MATCHES "${third_party}"
            AND NOT (exception_${file} AND header MATCHES "${exception_${file}}"))
        problem("${where}: a third-party or system header that this room does not use")
    endif()
    set(problems "${problems}" PARENT_SCOPE)
endfunction()

function(check_text file)
    file(READ ${ROOT}/${file} text)
    string(REGEX MATCHALL "\n" newlines "${text}")
    list(LENGTH newlines lines)
    if(lines GREATER max_lines)
        problem("${file}: ${lines} lines, more than ${max_lines}")
    endif()
    if(text MATCHES "[\"' =(]/(home|root|Users|mnt|work|tmp)/")
        problem("${file}: a path of one machine: ${CMAKE_MATCH_0}")
    endif()
    if(file MATCHES "^(lib|kernels|formats|pipelines)/")
        string(REGEX REPLACE "//[^\n]*" "" code "${text}")
        if(code MATCHES "(^|[^A-Za-z0-9_.>])(exit|_exit|_Exit|quick_exit|abort|terminate)[ ]*\\(")
            problem("${file}: ends the process (${CMAKE_MATCH_2}); throw Error or return Result")
        endif()
        if(code MATCHES "(^|[^A-Za-z0-9_])(printf|fprintf|vprintf|puts|putchar|perror|cout|cerr|clog)[ ;(<.]")
            problem("${file}: prints (${CMAKE_MATCH_2}); only apps talk to the user")
        endif()
    endif()
    set(problems "${problems}" PARENT_SCOPE)
endfunction()

set(checked 0)
list(LENGTH table length)
math(EXPR last "${length} - 1")
file(GLOB_RECURSE files RELATIVE ${ROOT}
    ${ROOT}/lib/* ${ROOT}/kernels/* ${ROOT}/formats/* ${ROOT}/pipelines/* ${ROOT}/apps/* ${ROOT}/tests/*)
list(FILTER files INCLUDE REGEX "\\.(h|cpp|cu|cuh)$")
foreach(file IN LISTS files)
    check_text(${file})
    if(file MATCHES "^tests/")
        continue() # tests may include everything
    endif()
    set(room)
    foreach(row RANGE 0 ${last} 4)
        math(EXPR row_own "${row} + 2")
        math(EXPR row_files "${row} + 1")
        math(EXPR row_third "${row} + 3")
        list(GET table ${row_files} pattern)
        if(file MATCHES "${pattern}")
            list(GET table ${row} room)
            list(GET table ${row_own} own)
            list(GET table ${row_third} third_party)
        endif()
    endforeach()
    if(NOT room)
        problem("${file}: in no room of the table")
        continue()
    endif()
    file(STRINGS ${ROOT}/${file} includes REGEX "^[ \t]*#[ \t]*include[ \t]*[<\"]")
    foreach(line IN LISTS includes)
        string(REGEX REPLACE "^[^<\"]*([<\"])([^>\"]+).*$" "\\2" header "${line}")
        if(line MATCHES "\"")
            set(quoted TRUE)
        else()
            set(quoted FALSE)
        endif()
        check_include(${file} ${header} ${quoted} "${own}" "${third_party}")
        math(EXPR checked "${checked} + 1")
    endforeach()
endforeach()

if(checked EQUAL 0)
    problem("no #include was found below ${ROOT}")
endif()
if(problems)
    list(JOIN problems "\n  " text)
    message(FATAL_ERROR "\n  ${text}\n")
endif()
message(STATUS "${checked} includes checked")
