#pragma once

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace strandwave {

inline std::string read_text(std::filesystem::path const& file) {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
}

inline std::filesystem::path write_text(std::filesystem::path const& file, std::string const& text) {
    std::ofstream(file, std::ios::binary) << text;
    return file;
}

struct ProgramRun {
    int exit_code = -1; ///< 128 + signal if one ended it
    std::string out;
    std::string err;
};

/// Runs a program with stdin from `input`, in the folder `scratch`, which takes its output files for the while.
inline ProgramRun run_program(std::filesystem::path const& scratch, std::vector<std::string> arguments,
                              std::string const& input = "", std::string program = STRANDWAVE_PROGRAM) {
    auto const in = write_text(scratch / ".stdin", input);
    auto const out = scratch / ".stdout";
    auto const err = scratch / ".stderr";
    arguments.insert(arguments.begin(), program);
    std::vector<char*> argv;
    for (auto& argument : arguments) {
        argv.push_back(argument.data());
    }
    argv.push_back(nullptr);
    auto const child = ::fork();
    if (child < 0) { throw std::runtime_error("fork failed"); }
    if (child == 0) {
        constexpr int kWrite = O_WRONLY | O_CREAT | O_TRUNC;
        bool const ready = ::dup2(::open(in.c_str(), O_RDONLY), 0) == 0 &&
                           ::dup2(::open(out.c_str(), kWrite, 0600), 1) == 1 &&
                           ::dup2(::open(err.c_str(), kWrite, 0600), 2) == 2 && ::chdir(scratch.c_str()) == 0;
        if (ready) { ::execvp(argv[0], argv.data()); }
        ::_exit(127);
    }
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    ProgramRun run{WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), read_text(out), read_text(err)};
    for (auto const& file : {in, out, err}) {
        std::filesystem::remove(file);
    }
    return run;
}

/// With `--device cpu` unless a device is named: so that a test says the same on a machine with a GPU.
inline std::vector<std::string> on_cpu(std::vector<std::string> arguments) {
    if (std::find(arguments.begin(), arguments.end(), "--device") == arguments.end()) {
        arguments.insert(arguments.end(), {"--device", "cpu"});
    }
    return arguments;
}

} // namespace strandwave
