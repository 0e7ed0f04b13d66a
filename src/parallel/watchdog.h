// SPDX-License-Identifier: Apache-2.0
// Ends a run that hangs. A thread of each rank sends the rank's heartbeat to rank 0, once a second
// or more often, and rank 0 sends a sign of life to all; rank 0 looks for ranks that are silent or
// do not get on, the others look for rank 0. The threads make calls of MPI that cannot block only,
// on a communicator of their own. Time that a thread did not run (a suspended job) does not count.
//
// Each rank also watches its own background job: see Heartbeat::begin_job().
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <mpi.h>

#include "parallel/hang_finder.h"

namespace galette {

class Watchdog {
 public:
  /// `limit`: seconds that a rank may take in one section (0: any time; background jobs are watched
  /// all the same). On a hang one line is printed and all ranks end with the code of
  /// set_exit_code(). Collective.
  Watchdog(MPI_Comm comm, double limit);
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;
  /// Stops watching. Without stop() before, as when this rank fails, other ranks are not waited
  /// for.
  ~Watchdog();

  /// Stops watching, on all ranks together. Collective.
  void stop();

  /// The code that ends the ranks after a hang; kExitError at first, kExitSavedGoOn once there is
  /// something to go on from.
  void set_exit_code(int code) { exit_code_ = code; }

 private:
  struct Message;

  void end_thread();
  void watch();
  void look(double elapsed);
  void send_heartbeats();
  void send(int to, const Message& message);
  void receive();
  bool receive_one();
  void check_own_job() const;
  void check_ranks();
  [[noreturn]] void end_run(const std::string& why, int exit_code) const;

  MPI_Comm comm_ = MPI_COMM_NULL;
  int rank_ = 0;
  int size_ = 1;
  double limit_;
  std::chrono::duration<double> interval_;
  std::atomic<int> exit_code_;
  std::vector<RankView> ranks_;  ///< on other ranks than 0 only that of rank 0 is kept
  struct Outgoing;
  std::vector<Outgoing> outgoing_;
  int farewells_ = 0;

  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace galette
