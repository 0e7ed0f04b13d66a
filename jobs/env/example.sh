# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What a site sets before the program starts. Copy this file, adapt it, and name the copy:
#
#   GALETTE_SITE=jobs/env/my-site.sh sbatch jobs/train.sbatch ...
#
# Everything here is commented out: start without, and take a line when its comment speaks of you.

# Modules: the compiler, MPI, HDF5 and CUDA that Galette was built with.
# module purge
# module load gcc/12 openmpi/4.1 hdf5/1.14-parallel cuda/13.0

# Threads of a rank. Without this the ranks of a host share its cores.
# export OMP_NUM_THREADS=8

# NCCL: gradients between GPUs. What it chose is in the log with
# export NCCL_DEBUG=INFO
# The network interface of its connections; needed where it picks one that the nodes cannot reach
# each other by. A leading ^ excludes.
# export NCCL_SOCKET_IFNAME=ib0
# export NCCL_SOCKET_IFNAME=^lo,docker0
# The InfiniBand adapters, those near the GPUs first (see `nvidia-smi topo -m`).
# export NCCL_IB_HCA=mlx5_0,mlx5_1
# How far apart a GPU and an adapter may be to exchange data directly.
# export NCCL_NET_GDR_LEVEL=PHB
# Without InfiniBand, several sockets use a fast Ethernet better.
# export NCCL_SOCKET_NTHREADS=4 NCCL_NSOCKS_PERTHREAD=4

# UCX: what Open MPI sends, which is little while NCCL takes the gradients.
# export OMPI_MCA_pml=ucx
# export UCX_NET_DEVICES=mlx5_0:1
# Shared memory inside a node, reliable connections between nodes.
# export UCX_TLS=self,sm,rc
# Where nodes have no fast network: MPI over TCP on one interface.
# export OMPI_MCA_pml=ob1 OMPI_MCA_btl=self,vader,tcp OMPI_MCA_btl_tcp_if_include=eth0

# Checkpoints: MPI-IO by ROMIO where Open MPI's own is slow or fails (Lustre, many ranks). Where
# neither works, train with --io=rank0.
# export OMPI_MCA_io=romio321
# Some file systems forbid locks.
# export HDF5_USE_FILE_LOCKING=FALSE

# Slurm's plugin for PMIx and Open MPI's own must agree; where they do not, tasks see themselves as
# single ranks, and the program says so.
# export SLURM_MPI_TYPE=pmix_v4
