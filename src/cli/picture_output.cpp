// SPDX-License-Identifier: Apache-2.0
#include "cli/picture_output.h"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "base/progress.h"
#include "io/check.h"
#include "io/together.h"

namespace galette {
namespace {

namespace fs = std::filesystem;

class Output {
 public:
  Output(const std::vector<Picture>& pictures, const ImageMaker& maker, const LatentSource& latents,
         const PictureFolder& folder, MpiCommunicator& comm)
      : maker_(maker),
        latents_(latents),
        folder_(folder),
        comm_(comm),
        maximum_(io::picture_maximum(folder.format)),
        bar_("generate", count_images(pictures), "images") {}

  /// On one rank: row by row, so that the image may be of any size.
  void write_single(const Picture& picture) {
    const auto writer = io::open_picture(folder_.file(picture), folder_.format, maker_.layout());
    make(*picture.cells[0], [&](const at::Tensor& rows) { writer->write(rows); });
    writer->finish();
  }

  /// Collective. Every rank fills its own cells of a black sheet; the brightest of all ranks wins.
  void write_sheet(const Picture& picture) {
    const io::PictureLayout cell = maker_.layout();
    const io::PictureLayout whole{cell.width * picture.columns, cell.height * picture.rows(),
                                  cell.channels};
    at::Tensor sheet = at::zeros({whole.height, whole.width, whole.channels}, at::kInt);
    for (size_t k = 0; k < picture.cells.size(); ++k) {
      const auto index = static_cast<int64_t>(k);
      if (index % comm_.size() != comm_.rank() || !picture.cells[k]) continue;
      int64_t y = index / picture.columns * cell.height;
      const int64_t x = index % picture.columns * cell.width;
      make(*picture.cells[k], [&](const at::Tensor& rows) {
        sheet.narrow(0, y, rows.size(0)).narrow(1, x, cell.width).copy_(rows);
        y += rows.size(0);
      });
    }
    comm_.all_reduce(sheet, ReduceOp::max);
    io::on_root(comm_.handle(), [&] {
      const auto writer = io::open_picture(folder_.file(picture), folder_.format, whole);
      writer->write(sheet);
      writer->finish();
    });
  }

 private:
  static double count_images(const std::vector<Picture>& pictures) {
    size_t cells = 0;
    for (const Picture& picture : pictures) cells += picture.cells.size();
    return static_cast<double>(cells);
  }

  void make(const Latent& latent, const std::function<void(const at::Tensor&)>& take) {
    // The ranks go on alike: this one's share stands for all.
    const auto height = static_cast<double>(maker_.layout().height);
    double rows_done = 0;
    bar_.update(images_done_ * comm_.size());
    maker_.make(latents_.ws(latent), latent.seed, maximum_, [&](const at::Tensor& rows) {
      take(rows);
      rows_done += static_cast<double>(rows.size(0));
      bar_.update((images_done_ + rows_done / height) * comm_.size());
    });
    images_done_ += 1;
  }

  const ImageMaker& maker_;
  const LatentSource& latents_;
  const PictureFolder& folder_;
  MpiCommunicator& comm_;
  int maximum_;
  double images_done_ = 0;
  ProgressBar bar_;
};

}  // namespace

std::string PictureFolder::file(const Picture& picture) const {
  return fmt::format("{}/{}.{}", path, picture.name, io::picture_suffix(format));
}

void PictureFolder::prepare(const std::vector<Picture>& pictures, MPI_Comm comm) const {
  io::on_root(comm, [&] {
    std::error_code error;
    fs::create_directories(path, error);
    if (error || !fs::is_directory(path))
      throw InputError(fmt::format("--outdir={}: {}; give a folder that you may write to", path,
                                   error ? error.message() : "is not a folder"));
    if (replace) return;
    for (const Picture& picture : pictures)
      if (fs::exists(file(picture)))
        throw InputError(fmt::format("{}: exists already; choose another --outdir or add --force",
                                     file(picture)));
  });
}

void write_pictures(const std::vector<Picture>& pictures, const ImageMaker& maker,
                    const LatentSource& latents, const PictureFolder& folder,
                    MpiCommunicator& comm) {
  Output output(pictures, maker, latents, folder, comm);
  int64_t single = 0;
  for (const Picture& picture : pictures) {
    if (picture.cells.size() > 1) {
      output.write_sheet(picture);
    } else if (single++ % comm.size() == comm.rank()) {
      output.write_single(picture);
    }
  }
  comm.barrier();
}

}  // namespace galette
