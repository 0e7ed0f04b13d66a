// SPDX-License-Identifier: Apache-2.0
#include "io/image_source.h"

#include <cstdlib>

#include <zlib.h>

#include "io/file_set.h"
#include "io/resize.h"
#include "tests/io/image_files.h"
#include "tests/support/temp_dir.h"

namespace galette::io {
namespace {

using namespace testing;
using galette::testing::TempDir;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Vector = std::vector<float>;

Bytes png(int seed) {
  return encode_png(sample_image(4, 4, 3, seed));
}

std::vector<std::string> names(const ImageSource& source) {
  std::vector<std::string> result;
  for (int64_t i = 0; i < source.size(); ++i) result.push_back(source.name(i));
  return result;
}

const std::map<std::string, Bytes>& sample_files() {
  static const std::map<std::string, Bytes> files{
      {"b.png", png(1)},
      {"a/x.PNG", png(2)},
      {"a-b/x.png", png(3)},
      {"a/notes.txt", {1}},
      {"c/d/e.jpg", encode_jpeg(sample_image(4, 4, 3), JCS_RGB, JCS_YCbCr)},
      {"dataset.json", to_bytes(R"({"labels": [["b.png", 2], ["a\\x.PNG", 0]]})")}};
  return files;
}

void expect_sample_source(ImageSource& source) {
  EXPECT_THAT(names(source), ElementsAre("a-b/x.png", "a/x.PNG", "b.png", "c/d/e.jpg"));
  EXPECT_EQ(source.load(0).pixels, sample_image(4, 4, 3, 3).pixels);
  EXPECT_EQ(source.load(1).pixels, sample_image(4, 4, 3, 2).pixels);
  EXPECT_EQ(source.load(2).pixels, sample_image(4, 4, 3, 1).pixels);
  EXPECT_EQ(source.extent(3).width, 4);
  EXPECT_EQ(source.label(0), ImageLabel{});
  EXPECT_EQ(source.label(1), ImageLabel{int64_t{0}});
  EXPECT_EQ(source.label(2), ImageLabel{int64_t{2}});
}

TEST(ImageSource, Folder) {
  const TempDir dir;
  write_files(dir.file("set"), sample_files());
  for (const char* suffix : {"", "/"}) {
    const auto source = open_image_source(dir.file("set") + suffix, std::nullopt);
    EXPECT_EQ(source->kind(), "folder");
    expect_sample_source(*source);
  }
}

TEST(ImageSource, Zip) {
  const TempDir dir;
  write_zip(dir.file("set.ZIP"), sample_files());
  const auto source = open_image_source(dir.file("set.ZIP"), std::nullopt);
  EXPECT_EQ(source->kind(), "zip");
  expect_sample_source(*source);
}

TEST(ImageSource, DamagedZip) {
  const TempDir dir;
  write_zip(dir.file("a.zip"), {{"a.png", Bytes(5000, 7)}, {"b.png", png(1)}});
  Bytes bytes = read_file(dir.file("a.zip"));
  Bytes half(bytes.begin(), bytes.begin() + ptrdiff_t(bytes.size() / 2));
  write_file(dir.file("half.zip"), half);
  EXPECT_THAT(input_error([&] { open_image_source(dir.file("half.zip"), {}); }),
              HasSubstr("half.zip"));
  bytes[60] ^= 0xff;  // inside the first member
  write_file(dir.file("a.zip"), bytes);
  const auto source = open_image_source(dir.file("a.zip"), std::nullopt);
  const std::string message = input_error([&] { source->load(0); });
  EXPECT_THAT(message, HasSubstr("a.zip"));
  EXPECT_THAT(message, HasSubstr("a.png"));
}

TEST(ImageSource, ErrorsNameTheImage) {
  const TempDir dir;
  Bytes cut = png(0);
  cut.resize(40);
  write_files(dir.file("set"), {{"cut.png", cut}, {"old.gif", to_bytes("GIF89a")}});
  const auto source = open_image_source(dir.file("set"), std::nullopt);
  EXPECT_THAT(input_error([&] { source->load(0); }), HasSubstr("set/cut.png: not a valid PNG"));
  EXPECT_THAT(input_error([&] { source->load(1); }), HasSubstr("set/old.gif: neither PNG nor"));
}

/// A PNG with alpha: red 200, green 100, blue 50, once opaque and once clear.
Bytes transparent_png() {
  return {0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0,    0,    0,    0x0d, 0x49, 0x48, 0x44,
          0x52, 0,    0,    0,    2,    0,    0,    0,    1,    8,    6,    0,    0,    0,    0xf4,
          0x22, 0x7f, 0x8a, 0,    0,    0,    0x11, 0x49, 0x44, 0x41, 0x54, 0x78, 0x9c, 0x63, 0x38,
          0x91, 0x62, 0xf4, 0x9f, 0x4b, 0x44, 0x8e, 0x01, 0x00, 0x0f, 0xcc, 0x02, 0x9a, 0x21, 0x53,
          0x31, 0xbc, 0,    0,    0,    0,    0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82};
}

TEST(ImageSource, TransparentImagesNeedABackground) {
  const TempDir dir;
  write_files(dir.file("set"), {{"a.png", transparent_png()}});
  const std::string message =
      input_error([&] { open_image_source(dir.file("set"), std::nullopt)->load(0); });
  EXPECT_THAT(message, HasSubstr("set/a.png"));
  EXPECT_THAT(message, HasSubstr("--background"));
  const auto source = open_image_source(dir.file("set"), Color{1, 2, 3});
  EXPECT_THAT(source->load(0).pixels, ElementsAre(200, 100, 50, 1, 2, 3));
}

TEST(ImageSource, RefusesWhatIsNoSource) {
  const TempDir dir;
  const auto refusal = [&](const std::string& name) {
    return input_error([&] { open_image_source(dir.file(name), std::nullopt); });
  };
  EXPECT_THAT(refusal("missing"), HasSubstr("no such file"));
  write_file(dir.file("a.tar"), Bytes{1});
  EXPECT_THAT(refusal("a.tar"), HasSubstr("a.tar: not a kind of source"));
  write_files(dir.file("texts"), {{"a.txt", {1}}});
  EXPECT_THAT(refusal("texts"), HasSubstr("texts: holds no images"));
  write_file(dir.file("a.ttf"), Bytes{1});
  EXPECT_THAT(refusal("a.ttf"), HasSubstr("a.ttf: not a readable font"));
}

TEST(ImageSource, Colors) {
  EXPECT_EQ(parse_color("white"), (Color{255, 255, 255}));
  EXPECT_EQ(parse_color("black"), (Color{0, 0, 0}));
  EXPECT_EQ(parse_color("1,20,255"), (Color{1, 20, 255}));
  for (const char* text : {"", "red", "1,2", "1,2,256", "1,2,3,4", "-1,2,3"}) {
    EXPECT_THAT(input_error([&] { parse_color(text); }), HasSubstr("--background=")) << text;
  }
}

class EmojiFont : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(path_)) GTEST_SKIP() << "the package fonts-noto-color-emoji";
  }
  std::string path_ = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf";
};

TEST_F(EmojiFont, EveryColorBitmapIsAnImage) {
  const auto source = open_image_source(path_, std::nullopt);
  EXPECT_EQ(source->kind(), "font");
  EXPECT_GT(source->size(), 3000);  // 3926 in Debian 12; later releases have more
  EXPECT_EQ(source->extent(5).width, 136);
  const Image image = source->load(5);
  EXPECT_EQ(image.shape(), (ImageShape{136, 136, 3}));
  EXPECT_EQ(image.pixels[0], 255) << "the corner shows the white background";
  EXPECT_LT(*std::min_element(image.pixels.begin(), image.pixels.end()), 200);
}

TEST_F(EmojiFont, BackgroundShowsWhereTheGlyphIsClear) {
  const Image white = open_image_source(path_, std::nullopt)->load(5);
  const Image colored = open_image_source(path_, Color{0, 128, 255})->load(5);
  EXPECT_EQ(colored.pixels[0], 0);
  EXPECT_EQ(colored.pixels[1], 128);
  EXPECT_EQ(colored.pixels[2], 255);
  int64_t same = 0;
  for (size_t i = 0; i < white.pixels.size(); i += 3) same += white.pixels[i] == colored.pixels[i];
  EXPECT_GT(same, 136 * 136 / 20) << "opaque pixels do not depend on the background";
}

Bytes gzipped(const Bytes& bytes, const std::string& path) {
  const gzFile file = gzopen(path.c_str(), "wb");
  gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
  gzclose(file);
  return read_file(path);
}

/// The header of an IDX file of bytes, with elements 0, 1, 2 ... modulo 251 after it.
Bytes idx(const std::vector<uint8_t>& axes) {
  Bytes bytes{0, 0, 8, uint8_t(axes.size())};
  size_t count = 1;
  for (const uint8_t axis : axes) {
    bytes.insert(bytes.end(), {0, 0, 0, axis});
    count *= axis;
  }
  for (size_t i = 0; i < count; ++i) bytes.push_back(uint8_t(i % 251));
  return bytes;
}

TEST(IdxSource, ImagesOf28GetAMarginAndLabelsLieBeside) {
  const TempDir dir;
  const std::string images = dir.file("train-images-idx3-ubyte.gz");
  gzipped(idx({3, 28, 28}), images);
  gzipped(idx({3}), dir.file("train-labels-idx1-ubyte.gz"));
  const auto source = open_image_source(images, std::nullopt);
  EXPECT_EQ(source->kind(), "idx");
  EXPECT_THAT(names(*source), ElementsAre("00000000", "00000001", "00000002"));
  EXPECT_EQ(source->extent(0).width, 32);
  const Image image = source->load(2);
  ASSERT_EQ(image.shape(), (ImageShape{32, 32, 1}));
  for (int y = 0; y < 32; ++y)
    for (int x = 0; x < 32; ++x) {
      const bool inside = y >= 2 && y < 30 && x >= 2 && x < 30;
      const int stored = (2 * 28 * 28 + (y - 2) * 28 + x - 2) % 251;
      ASSERT_EQ(image.row(y)[x], inside ? stored : 0) << y << " " << x;
    }
  EXPECT_EQ(source->label(2), ImageLabel{int64_t{2}});
}

TEST(IdxSource, OtherSizesStayAndLabelsMayLack) {
  const TempDir dir;
  write_file(dir.file("a-images-idx3-ubyte"), idx({2, 4, 8}));
  const auto source = open_image_source(dir.file("a-images-idx3-ubyte"), std::nullopt);
  EXPECT_EQ(source->load(1).shape(), (ImageShape{8, 4, 1}));
  EXPECT_EQ(source->load(1).row(0)[0], 32);
  EXPECT_EQ(source->label(0), ImageLabel{});
}

TEST(IdxSource, DamageIsToldInOneLine) {
  const TempDir dir;
  const std::string path = dir.file("a-images-idx3-ubyte.gz");
  const auto refusal = [&](const Bytes& bytes) {
    write_file(path, bytes);
    return input_error([&] { open_image_source(path, std::nullopt); });
  };
  Bytes plain = idx({2, 4, 8});
  EXPECT_THAT(refusal(idx({4, 8})), HasSubstr("not an IDX file of bytes with 3 axes"));
  EXPECT_THAT(refusal({}), HasSubstr("truncated"));
  EXPECT_THAT(refusal(idx({0, 4, 4})), HasSubstr("holds no images"));
  EXPECT_THAT(refusal(Bytes(plain.begin(), plain.end() - 1)), HasSubstr("truncated"));
  plain.push_back(0);
  EXPECT_THAT(refusal(plain), HasSubstr("goes on after its last element"));
  EXPECT_THAT(refusal({0, 0, 8, 3, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 9}),
              HasSubstr("too long"));
  Bytes zipped = gzipped(idx({2, 28, 28}), dir.file("z"));
  EXPECT_THAT(refusal(Bytes(zipped.begin(), zipped.end() - 9)), HasSubstr("a-images-idx3"));
  zipped[zipped.size() - 6] ^= 1;  // of the checksum
  EXPECT_THAT(refusal(zipped), HasSubstr("damaged"));
  write_file(path, idx({2, 4, 8}));
  write_file(dir.file("a-labels-idx1-ubyte.gz"), idx({3}));
  EXPECT_THAT(input_error([&] { open_image_source(path, std::nullopt); }),
              HasSubstr("holds 3 labels for 2 images"));
}

/// Makes an archive with two batches of two images each, byte i of which is 7 i + image, as Python
/// 2 and NumPy pickled them; `trap` names a call to put into a third batch.
void make_cifar(const std::string& folder, const std::string& trap = "") {
  const std::string script = R"(
import io, struct, sys, tarfile
def text(s): return b"U" + bytes([len(s)]) + s
def batch(first):
    data = bytes((7 * i + first + n) % 256 for n in range(2) for i in range(3072))
    return (b"\x80\x02}(" + text(b"labels") + b"](K" + bytes([first]) + b"K" + bytes([first + 1])
            + b"e" + text(b"data") + b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
            + b"K\0\x85" + text(b"b") + b"\x87R(K\1K\2M\0\x0c\x86cnumpy\ndtype\n" + text(b"u1")
            + b"K\0K\1\x87R(K\3" + text(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
            + b"\x89T" + struct.pack("<i", len(data)) + data + b"tbu.")
members = {"data_batch_2": batch(2), "test_batch": b"x", "data_batch_1": batch(0)}
if len(sys.argv) > 2: members["data_batch_3"] = b"\x80\x02c" + sys.argv[2].replace(".", "\n").encode() + b"\n)R."
with tarfile.open(sys.argv[1], "w:gz") as tar:
    for name, content in members.items():
        info = tarfile.TarInfo("cifar-10-batches-py/" + name)
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
)";
  write_file(folder + "/make.py", to_bytes(script));
  const std::string command =
      fmt::format("python3 -I -S {0}/make.py {0}/cifar-10-python.tar.gz {1}", folder, trap);
  ASSERT_EQ(std::system(command.c_str()), 0);
}

TEST(CifarSource, BatchesComeInOrderOfTheirNames) {
  if (std::system("command -v python3 > /dev/null") != 0) GTEST_SKIP() << "NOT TESTED: no python3";
  const TempDir dir;
  make_cifar(dir.path());
  const auto source = open_image_source(dir.file("cifar-10-python.tar.gz"), std::nullopt);
  EXPECT_EQ(source->kind(), "cifar10");
  ASSERT_EQ(source->size(), 4);
  EXPECT_EQ(source->label(3), ImageLabel{int64_t{3}});
  const Image image = source->load(3);
  ASSERT_EQ(image.shape(), (ImageShape{32, 32, 3}));
  for (int c = 0; c < 3; ++c) EXPECT_EQ(image.row(5)[3 * 9 + c], (7 * (1024 * c + 169) + 3) % 256);
}

TEST(CifarSource, OtherArchivesAndHostilePicklesAreRefused) {
  if (std::system("command -v python3 > /dev/null") != 0) GTEST_SKIP() << "NOT TESTED: no python3";
  const TempDir dir;
  const std::string path = dir.file("cifar-10-python.tar.gz");
  const auto refusal = [&] { return input_error([&] { open_image_source(path, std::nullopt); }); };
  make_cifar(dir.path(), "'os\nsystem'");
  EXPECT_THAT(refusal(), HasSubstr("data_batch_3: refused: it names os.system"));
  const Bytes whole = read_file(path);
  write_file(path, Bytes(whole.begin(), whole.begin() + 200));
  EXPECT_THAT(refusal(), HasSubstr("cifar-10-python.tar.gz: "));
  write_file(path, Bytes(600, 7));
  EXPECT_THAT(refusal(), HasSubstr("not a tar archive"));
}

std::map<std::string, ImageLabel> labels_of(const std::string& text) {
  return parse_labels(to_bytes(text), "set/dataset.json");
}

TEST(ImageLabels, ClassesVectorsAndNone) {
  EXPECT_TRUE(labels_of(R"({"labels": null})").empty());
  const auto classes = labels_of(R"({"labels": [["a", 3], ["b", 0], ["c", null], ["d", 2.0]]})");
  EXPECT_EQ(classes.at("a"), ImageLabel{int64_t{3}});
  EXPECT_EQ(classes.at("c"), ImageLabel{});
  EXPECT_EQ(classes.at("d"), ImageLabel{int64_t{2}});
  const auto vectors = labels_of(R"({"labels": [["a", [1, 0.5]], ["b", [-2, 0]]]})");
  EXPECT_EQ(vectors.at("a"), (ImageLabel{Vector{1, 0.5}}));
  EXPECT_EQ(vectors.at("b"), (ImageLabel{Vector{-2, 0}}));
}

TEST(ImageLabels, Errors) {
  for (const char* text :
       {"", "{", "[]", "{}", R"({"labels": 3})", R"({"labels": [1]})", R"({"labels": [["a"]]})",
        R"({"labels": [["a", -1]]})", R"({"labels": [["a", 1.5]]})", R"({"labels": [["a", "x"]]})",
        R"({"labels": [["a", []]]})", R"({"labels": [["a", 1e99]]})",
        R"({"labels": [["a", [1]], ["b", [1, 2]]]})", R"({"labels": [["a", 1], ["b", [1]]]})"}) {
    EXPECT_THAT(input_error([&] { labels_of(text); }), HasSubstr("set/dataset.json: ")) << text;
  }
}

}  // namespace
}  // namespace galette::io
