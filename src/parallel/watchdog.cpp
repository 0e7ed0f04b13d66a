// SPDX-License-Identifier: Apache-2.0
#include "parallel/watchdog.h"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include <fmt/format.h>
#include <unistd.h>

#include "base/exit_code.h"
#include "base/log.h"
#include "io/check.h"

namespace galette {
namespace {

constexpr int kHeartbeatTag = 1;
constexpr int kFarewellTag = 2;
constexpr size_t kPlaceLength = 80;
constexpr double kLongestInterval = 1;  // seconds
constexpr double kLooksPerLimit = 20;   // messages within the limit
constexpr double kFirstSpeaks = 2;      // seconds that the first rank to speak is left alone
constexpr unsigned kSecondsToEnd = 10;  // for MPI_Abort; then the process ends without it

}  // namespace

/// Small enough to travel without waiting for the receiver.
struct Watchdog::Message {
  int64_t steps = 0;
  int64_t iteration = 0;
  double seconds = 0;
  double limit = 0;
  char place[kPlaceLength] = "";
};

/// What is under way to a rank; a message that has not left holds back the next one.
struct Watchdog::Outgoing {
  Message message;
  MPI_Request request = MPI_REQUEST_NULL;
};

Watchdog::Watchdog(MPI_Comm comm, double limit)
    : limit_(limit),
      interval_(limit > 0 ? std::min(kLongestInterval, limit / kLooksPerLimit) : kLongestInterval),
      exit_code_(kExitError) {
  Heartbeat::instance();  // the calling thread is the one that is watched
  MPI_CHECK(MPI_Comm_dup(comm, &comm_));
  MPI_CHECK(MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN));
  MPI_CHECK(MPI_Comm_rank(comm_, &rank_));
  MPI_CHECK(MPI_Comm_size(comm_, &size_));
  ranks_.resize(rank_ == 0 ? static_cast<size_t>(size_) : 1);
  outgoing_.resize(ranks_.size());
  thread_ = std::thread([this] { watch(); });
}

Watchdog::~Watchdog() {
  if (thread_.joinable()) end_thread();
}

void Watchdog::end_thread() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void Watchdog::stop() {
  if (!thread_.joinable()) return;
  MPI_CHECK(MPI_Barrier(comm_));  // as long as one rank has work to do, all are watched
  end_thread();
  // Messages between two ranks keep their order, so nothing is under way after a farewell.
  std::vector<MPI_Request> farewells;
  for (int to = 0; to < size_; ++to) {
    if (to == rank_ || (rank_ != 0 && to != 0)) continue;
    Outgoing& last = outgoing_[rank_ == 0 ? static_cast<size_t>(to) : 0];
    MPI_CHECK(MPI_Wait(&last.request, MPI_STATUS_IGNORE));
    farewells.emplace_back();
    MPI_CHECK(MPI_Isend(nullptr, 0, MPI_BYTE, to, kFarewellTag, comm_, &farewells.back()));
  }
  MPI_CHECK(MPI_Waitall(static_cast<int>(farewells.size()), farewells.data(), MPI_STATUSES_IGNORE));
  const int expected = static_cast<int>(farewells.size());
  while (farewells_ < expected) {
    if (!receive_one()) std::this_thread::yield();
  }
  MPI_CHECK(MPI_Comm_free(&comm_));
}

void Watchdog::watch() {
  auto before = Heartbeat::Clock::now();
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, interval_, [this] { return stopping_; })) {
    lock.unlock();
    const auto now = Heartbeat::Clock::now();
    const std::chrono::duration<double> elapsed = now - before;
    before = now;
    try {
      // A gap in this thread's own time says nothing about the other ranks.
      look(std::min(elapsed, 3 * interval_).count());
    } catch (const std::exception& error) {
      end_run(error.what(), kExitError);
    }
    lock.lock();
  }
}

void Watchdog::look(double elapsed) {
  for (RankView& rank : ranks_) rank.silent += elapsed;
  receive();
  send_heartbeats();
  check_own_job();
  check_ranks();
}

void Watchdog::send_heartbeats() {
  const Heartbeat::Report own = Heartbeat::instance().report();
  if (rank_ == 0) ranks_[0] = {0, own};
  Message message{own.steps, own.iteration, own.seconds, own.limit, ""};
  own.place.copy(message.place, kPlaceLength - 1);
  if (rank_ != 0) return send(0, message);
  for (int to = 1; to < size_; ++to) send(to, message);
}

void Watchdog::send(int to, const Message& message) {
  Outgoing& slot = outgoing_[rank_ == 0 ? static_cast<size_t>(to) : 0];
  int sent = 0;
  MPI_CHECK(MPI_Test(&slot.request, &sent, MPI_STATUS_IGNORE));
  if (sent == 0) return;
  slot.message = message;
  MPI_CHECK(
      MPI_Isend(&slot.message, sizeof(Message), MPI_BYTE, to, kHeartbeatTag, comm_, &slot.request));
}

void Watchdog::receive() {
  while (receive_one()) continue;
}

bool Watchdog::receive_one() {
  int waiting = 0;
  MPI_Status status;
  MPI_CHECK(MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, comm_, &waiting, &status));
  if (waiting == 0) return false;
  Message message;
  const int tag = status.MPI_TAG;
  MPI_CHECK(MPI_Recv(&message, sizeof(Message), MPI_BYTE, status.MPI_SOURCE, tag, comm_,
                     MPI_STATUS_IGNORE));
  if (tag == kFarewellTag) {
    ++farewells_;
    return true;
  }
  RankView& from = ranks_[rank_ == 0 ? static_cast<size_t>(status.MPI_SOURCE) : 0];
  from.silent = 0;
  from.report = {message.steps, message.iteration, message.seconds, message.limit, message.place};
  return true;
}

void Watchdog::check_own_job() const {
  const auto job = Heartbeat::instance().job();
  // All ranks write together: the first one speaks for all.
  const double patience = rank_ == 0 ? 0 : kFirstSpeaks;
  if (!job || job->limit <= 0 || job->seconds < job->limit + patience) return;
  end_run(fmt::format("rank {}: {} is not finished after {:.0f} s (--io-deadline); the file system "
                      "may be stuck",
                      rank_, job->name, job->seconds),
          kExitSavedGoOn);
}

void Watchdog::check_ranks() {
  if (rank_ == 0) {
    if (const auto why = find_hang(ranks_, limit_)) end_run(*why, exit_code_);
    return;
  }
  // Of rank 0 only the silence counts: whether it gets on is its own to see.
  RankView root = ranks_[0];
  root.silent -= rank_ > 1 ? kFirstSpeaks : 0;
  root.report.limit = -1;
  if (const auto why = find_hang({root}, limit_)) end_run(*why, exit_code_);
}

void Watchdog::end_run(const std::string& why, int exit_code) const {
  // Whatever blocks from here on, this process ends.
  std::signal(SIGALRM, SIG_DFL);
  alarm(kSecondsToEnd);
  const std::string line =
      fmt::format("galette: {}; all ranks end with exit code {}", why, exit_code);
  if (log::speaks()) {
    log::error_line(line);
  } else {
    const std::string text = line + "\n";
    if (::write(STDERR_FILENO, text.data(), text.size()) < 0) alarm(1);  // nowhere to say it
  }
  MPI_Abort(MPI_COMM_WORLD, exit_code);
  std::_Exit(exit_code);
}

}  // namespace galette
