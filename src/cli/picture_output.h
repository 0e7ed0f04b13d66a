// SPDX-License-Identifier: Apache-2.0
// Writes planned pictures, shared among the ranks. What a picture shows does not depend on their
// number.
#pragma once

#include <string>
#include <vector>

#include "cli/image_maker.h"
#include "cli/latents.h"
#include "cli/picture_plan.h"
#include "parallel/mpi_communicator.h"

namespace galette {

struct PictureFolder {
  std::string path;  ///< made if it lacks
  io::PictureFormat format = io::PictureFormat::png8;
  bool replace = false;  ///< pictures that exist

  std::string file(const Picture& picture) const;
  /// On rank 0: makes the folder; throws InputError on all ranks when that fails, or when a picture
  /// exists that may not be replaced. Collective.
  void prepare(const std::vector<Picture>& pictures, MPI_Comm comm) const;
};

/// Single images are dealt to the ranks in turn; the ranks share the cells of each sheet.
/// Collective.
void write_pictures(const std::vector<Picture>& pictures, const ImageMaker& maker,
                    const LatentSource& latents, const PictureFolder& folder,
                    MpiCommunicator& comm);

}  // namespace galette
