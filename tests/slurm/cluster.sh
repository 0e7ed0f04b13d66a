#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A real Slurm of two nodes, n1 and n2, on this machine: munged, slurmctld and two slurmd, with
# their own ports, keys, sockets and files, all in one folder. What is installed or runs already is
# not touched. Needs the Slurm packages; as root, or as a user for whom the daemons then run.
#
#   cluster.sh check             exits 77 and says why, when a cluster cannot be started here
#   cluster.sh start DIR [PID]   makes DIR, starts everything and waits until both nodes are idle;
#                                then `export SLURM_CONF=DIR/slurm.conf` for sbatch and the like.
#                                When process PID ends, however that be, the cluster is stopped
#   cluster.sh kill-node DIR N   ends a node's slurmd and every task on it, as a loss of power does
#   cluster.sh end-slurmd DIR N  ends only slurmd; the node's tasks go on
#   cluster.sh start-node DIR N  starts slurmd again
#   cluster.sh stop DIR          ends everything that was started; may be called twice
#
# Partition `low` may be preempted by `high`: its jobs get SIGTERM, then GraceTime, then requeueing.
set -euo pipefail

skip=77
nodes=(n1 n2)
grace=60
programs=(munged slurmctld slurmd sbatch srun scontrol squeue)
# Daemons live in sbin, which a user's PATH may lack.
PATH=$PATH:/usr/sbin:/sbin

say() { printf 'cluster.sh: %s\n' "$*" >&2; }
die() {
  say "$*"
  exit 1
}

check() {
  local program
  for program in "${programs[@]}"; do
    command -v "$program" >/dev/null || {
      say "SKIPPED: there is no $program; install slurm-wlm and munge (tools/setup.sh does)"
      exit $skip
    }
  done
}

check_pmix() {
  srun --mpi=list 2>&1 | grep -qw pmix || {
    say "SKIPPED: this Slurm has no pmix plugin, so srun cannot start MPI programs"
    exit $skip
  }
}

is_free() { ! (: >"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Three neighbouring ports that nobody listens on.
find_ports() {
  local base _
  for _ in {1..50}; do
    base=$((20000 + RANDOM % 12000))
    if is_free $base && is_free $((base + 1)) && is_free $((base + 2)); then
      echo $base
      return
    fi
  done
  die "found no free ports"
}

write_config() {
  local dir=$1 host user base
  host=$(hostname -s) user=$(id -un) base=$(find_ports)
  cat >"$dir/slurm.conf" <<END
ClusterName=galette
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$base
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
# A requeued job waits for as long as credentials live: 5 s here, 120 s by default.
AuthInfo=socket=$dir/munge.socket,cred_expire=5
StateSaveLocation=$dir/state
SlurmctldPidFile=$dir/slurmctld.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdSpoolDir=$dir/%n
SlurmdPidFile=$dir/%n/slurmd.pid
# The log's folder is where slurmd and its steps run: stop_node() knows them by it.
SlurmdLogFile=$dir/%n/slurmd.log
# The nodes' PMIx servers must not meet in one folder.
TmpFS=$dir/%n/tmp
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/builtin
SchedulerParameters=sched_interval=5,batch_sched_delay=1
MpiDefault=none
GresTypes=gpu
SwitchType=switch/none
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
KillWait=30
SlurmdTimeout=12
ReturnToService=2
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=$((base + 1)) CPUs=2 RealMemory=1000 Gres=gpu:4
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=$((base + 2)) CPUs=2 RealMemory=1000 Gres=gpu:4
PartitionName=low Nodes=n1,n2 Default=YES PriorityTier=1 GraceTime=$grace MaxTime=UNLIMITED
PartitionName=high Nodes=n1,n2 PriorityTier=10 MaxTime=UNLIMITED
END
  # Plain files in the place of devices, so that the GPU lines of a job mean something here.
  touch "$dir"/gpu{0..3}
  echo "Name=gpu File=$dir/gpu[0-3]" >"$dir/gres.conf"
}

start_munge() {
  local dir=$1
  head -c 1024 /dev/urandom >"$dir/munge.key"
  chmod 600 "$dir/munge.key"
  munged --key-file="$dir/munge.key" --socket="$dir/munge.socket" --pid-file="$dir/munged.pid" \
    --log-file="$dir/munged.log" --seed-file="$dir/munge.seed" --num-threads=2
}

# Sockets and folders of steps that died with the node would keep steps of the same number from starting.
start_node() {
  local dir=$1 node=$2
  [ -n "$(managers_of "$dir/$node")" ] || rm -rf "$dir/$node"/{tmp,stepd.,pmix.,"${node}_"}*
  mkdir -p "$dir/$node/tmp"
  slurmd -N "$node" -f "$dir/slurm.conf"
}

# slurmd and the managers of its steps, by the folder in which they run.
managers_of() {
  find /proc/[0-9]*/cwd -maxdepth 0 -lname "$1" 2>/dev/null | tr -cd '0-9\n' || true
}

# What the given processes started, and what those did.
descendants() {
  local children
  children=$(pgrep --parent "$(echo "$@" | tr ' ' ,)") || return 0
  echo "$children"
  # shellcheck disable=SC2086
  descendants $children
}

kill_node() {
  local managers processes
  managers=$(managers_of "$1/$2")
  [ -n "$managers" ] || return 0
  # shellcheck disable=SC2086
  processes="$managers $(descendants $managers)"
  # shellcheck disable=SC2086
  kill -KILL $processes 2>/dev/null || true
}

wait_for_nodes() {
  local dir=$1 tenths
  for ((tenths = 0; tenths < 300; ++tenths)); do
    [ "$(sinfo --noheader --Node --partition=low --states=idle | wc -l)" -eq ${#nodes[@]} ] && return
    sleep 0.1
  done
  tail -n 5 "$dir/slurmctld.log" "$dir"/n?/slurmd.log >&2
  die "the nodes did not come up within 30 s"
}

end_daemon() {
  local file=$1 pid tenths
  [ -s "$file" ] || return 0
  pid=$(<"$file")
  kill -TERM "$pid" 2>/dev/null || return 0
  for ((tenths = 0; tenths < 50; ++tenths)); do
    kill -0 "$pid" 2>/dev/null || return 0
    sleep 0.1
  done
  kill -KILL "$pid"
}

stop() {
  local dir=$1 node
  end_daemon "$dir/slurmctld.pid"
  for node in "${nodes[@]}"; do kill_node "$dir" "$node"; done
  end_daemon "$dir/munged.pid"
}

# Stops the cluster when its owner has ended.
guard() {
  setsid bash -c "tail --pid=$2 -f /dev/null; '${BASH_SOURCE[0]}' stop '$1'" \
    </dev/null >/dev/null 2>&1 &
}

start() {
  local dir=$1 node
  check
  mkdir -p "$dir/state"
  chmod 755 "$dir"
  write_config "$dir"
  export SLURM_CONF=$dir/slurm.conf
  check_pmix
  if [ $# -gt 1 ]; then guard "$dir" "$2"; fi
  start_munge "$dir"
  slurmctld -c -f "$dir/slurm.conf"
  for node in "${nodes[@]}"; do start_node "$dir" "$node"; done
  wait_for_nodes "$dir"
}

command=${1:-}
[ $# -gt 1 ] && folder=$(realpath -m "$2")
case $command-$# in
  check-1) check ;;
  start-2) start "$folder" ;;
  start-3) start "$folder" "$3" ;;
  stop-2) stop "$folder" ;;
  kill-node-3) kill_node "$folder" "$3" ;;
  end-slurmd-3) end_daemon "$folder/$3/slurmd.pid" ;;
  start-node-3) start_node "$folder" "$3" ;;
  *) die "usage: see the head of this file" ;;
esac
