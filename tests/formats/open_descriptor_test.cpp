#include "formats/open_descriptor.h"

#include "formats/byte_source.h"
#include "formats/file_bytes.h"
#include "tests/support/temp_dir.h"

#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <functional>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

namespace strandwave {
namespace {

class OpenDescriptorTest : public testing::Test {
protected:
    void SetUp() override { ASSERT_EQ(::mkfifo(pipe_.c_str(), 0600), 0); }
    void TearDown() override { ::close(writer_); }

    /// A pipe that is open for both ways waits for nobody.
    void open_writer() { writer_ = ::open(pipe_.c_str(), O_RDWR | O_CLOEXEC); }

    TempDir folder_;
    std::filesystem::path pipe_ = folder_.path() / "pipe";
    int writer_ = -1;
};

TEST_F(OpenDescriptorTest, APipeIsKnownWhileSomebodyReadsIt) {
    open_writer();
    EXPECT_FALSE(a_pipe_is_open());
    auto text = open_file_bytes(pipe_);
    EXPECT_TRUE(a_pipe_is_open());
    text.reset();
    EXPECT_FALSE(a_pipe_is_open());
    auto raw = open_byte_source(pipe_);
    EXPECT_TRUE(a_pipe_is_open());
    raw.value() = {};
    EXPECT_FALSE(a_pipe_is_open());
}

TEST_F(OpenDescriptorTest, ASignalDoesNotEndTheWaitForAWriter) {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    ASSERT_EQ(sigaction(SIGUSR1, &action, nullptr), 0);
    int descriptor = -1;
    std::thread reader([&] { descriptor = open_descriptor(pipe_); });
    while (!a_pipe_is_open()) {
        std::this_thread::yield();
    }
    for (int i = 0; i < 20; ++i) {
        ::pthread_kill(reader.native_handle(), SIGUSR1);
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    open_writer();
    reader.join();
    EXPECT_GE(descriptor, 0);
    ::close(descriptor);
    std::signal(SIGUSR1, SIG_DFL);
}

} // namespace
} // namespace strandwave
