#pragma once

#include "tests/support/run_program.h"

#include <csignal>
#include <unistd.h>

namespace strandwave {

/// A program that runs beside the test, in the folder `scratch`, without input and output; its errors are kept.
class StartedProgram {
public:
    StartedProgram(std::filesystem::path const& scratch, std::vector<std::string> arguments,
                   std::string program = STRANDWAVE_PROGRAM)
        : errors_(scratch / ".started_stderr") {
        arguments.insert(arguments.begin(), program);
        std::vector<char*> argv;
        for (auto& argument : arguments) {
            argv.push_back(argument.data());
        }
        argv.push_back(nullptr);
        child_ = ::fork();
        if (child_ < 0) { throw std::runtime_error("fork failed"); }
        if (child_ > 0) { return; }
        int const none = ::open("/dev/null", O_RDWR);
        int const errors = ::open(errors_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (::dup2(none, 0) == 0 && ::dup2(none, 1) == 1 && ::dup2(errors, 2) == 2 && ::chdir(scratch.c_str()) == 0) {
            ::execvp(argv[0], argv.data());
        }
        ::_exit(127);
    }
    ~StartedProgram() {
        if (!ended_) {
            send(SIGKILL);
            wait();
        }
    }
    StartedProgram(StartedProgram const&) = delete;
    StartedProgram& operator=(StartedProgram const&) = delete;

    void send(int signal) const { ::kill(child_, signal); }

    bool ended() {
        if (!ended_ && ::waitpid(child_, &status_, WNOHANG) == child_) { ended_ = true; }
        return ended_;
    }

    /// The exit code, or 128 + the signal that ended it.
    int wait() {
        while (!ended_) {
            if (::waitpid(child_, &status_, 0) == child_) { ended_ = true; }
        }
        return WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_);
    }

    std::string errors() const { return read_text(errors_); }

private:
    std::filesystem::path errors_;
    pid_t child_ = -1;
    int status_ = 0;
    bool ended_ = false;
};

} // namespace strandwave
