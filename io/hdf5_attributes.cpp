// SPDX-License-Identifier: Apache-2.0
// Attributes of HDF5 objects: strings (written with variable length, which h5py shows as str) and
// scalar numbers. Texts as datasets.
#include <fmt/format.h>

#include "io/check.h"
#include "io/hdf5.h"

namespace galette::io {
namespace {

H5Handle utf8_type(size_t size) {
  H5Handle type(H5_CHECK(H5Tcopy(H5T_C_S1)), H5Tclose);
  H5_CHECK(H5Tset_size(type, size));
  H5_CHECK(H5Tset_cset(type, H5T_CSET_UTF8));
  return type;
}

std::string read_variable_string(hid_t attribute, hid_t type) {
  char* text = nullptr;
  H5_CHECK(H5Aread(attribute, type, static_cast<void*>(&text)));
  std::string result = text != nullptr ? text : "";  // h5py keeps an empty string as a null pointer
  if (text != nullptr) H5_CHECK(H5free_memory(text));
  return result;
}

/// Fixed-length strings are padded with zeros or blanks, or end at the first zero.
std::string read_fixed_string(hid_t attribute, hid_t type) {
  std::string result(H5Tget_size(type), '\0');
  H5_CHECK(H5Aread(attribute, type, result.data()));
  if (H5Tget_strpad(type) == H5T_STR_SPACEPAD)
    result.erase(result.find_last_not_of(' ') + 1);
  else
    result.erase(std::min(result.find('\0'), result.size()));
  return result;
}

}  // namespace

void H5File::write_text(const std::string& name, const std::string& text) {
  const H5Handle type = utf8_type(std::max<size_t>(text.size(), 1));  // HDF5 knows no empty type
  const H5Handle space(H5_CHECK(H5Screate(H5S_SCALAR)), H5Sclose);
  H5Handle dataset(
      H5_CHECK(H5Dcreate2(file_, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT)),
      H5Dclose);
  H5_CHECK(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, text.c_str()));
  dataset.close_checked();
}

std::string H5File::read_text(const std::string& name) const {
  const H5Handle dataset = open_dataset(name);
  const H5Handle type(H5_CHECK(H5Dget_type(dataset)), H5Tclose);
  const H5Handle space(H5_CHECK(H5Dget_space(dataset)), H5Sclose);
  if (H5Tget_class(type) != H5T_STRING || H5_CHECK(H5Tis_variable_str(type)) > 0 ||
      H5_CHECK(H5Sget_simple_extent_npoints(space)) != 1)
    throw InputError(fmt::format("{}: dataset '{}' is not a text of fixed length", path_, name));
  std::string text(H5Tget_size(type), '\0');
  if (H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, text.data()) < 0)
    throw DamagedFile(
        fmt::format("{}: text '{}' cannot be read ({})", path_, name, hdf5_error_text()));
  text.erase(std::min(text.find('\0'), text.size()));
  return text;
}

bool H5File::has_attribute(const std::string& object, const std::string& name) const {
  return exists(object) &&
         H5_CHECK(H5Aexists_by_name(file_, object.c_str(), name.c_str(), H5P_DEFAULT)) > 0;
}

/// A scalar, or an array of one element, which converters to other formats tend to make of it.
H5Handle H5File::open_attribute(const std::string& object, const std::string& name) const {
  if (!has_attribute(object, name))
    throw InputError(fmt::format("{}: '{}' lacks the attribute '{}'", path_, object, name));
  H5Handle attribute(
      H5_CHECK(H5Aopen_by_name(file_, object.c_str(), name.c_str(), H5P_DEFAULT, H5P_DEFAULT)),
      H5Aclose);
  const H5Handle space(H5_CHECK(H5Aget_space(attribute)), H5Sclose);
  if (H5_CHECK(H5Sget_simple_extent_npoints(space)) != 1)
    throw InputError(
        fmt::format("{}: attribute '{}' of '{}' is not a single value", path_, name, object));
  return attribute;
}

std::string H5File::string_attribute(const std::string& object, const std::string& name) const {
  const H5Handle attribute = open_attribute(object, name);
  const H5Handle type(H5_CHECK(H5Aget_type(attribute)), H5Tclose);
  if (H5Tget_class(type) != H5T_STRING)
    throw InputError(fmt::format("{}: attribute '{}' of '{}' is not a text", path_, name, object));
  return H5_CHECK(H5Tis_variable_str(type)) > 0 ? read_variable_string(attribute, type)
                                                : read_fixed_string(attribute, type);
}

int64_t H5File::int_attribute(const std::string& object, const std::string& name) const {
  const H5Handle attribute = open_attribute(object, name);
  const H5Handle type(H5_CHECK(H5Aget_type(attribute)), H5Tclose);
  int64_t value = 0;
  if (H5Tget_class(type) == H5T_ENUM && H5Tget_size(type) == 1) {  // h5py's bool
    uint8_t flag = 0;
    H5_CHECK(H5Aread(attribute, type, &flag));
    value = flag;
  } else if (H5Tget_class(type) == H5T_INTEGER) {
    H5_CHECK(H5Aread(attribute, H5T_NATIVE_INT64, &value));
  } else {
    throw InputError(
        fmt::format("{}: attribute '{}' of '{}' is not a whole number", path_, name, object));
  }
  return value;
}

double H5File::double_attribute(const std::string& object, const std::string& name) const {
  const H5Handle attribute = open_attribute(object, name);
  const H5Handle type(H5_CHECK(H5Aget_type(attribute)), H5Tclose);
  const H5T_class_t kind = H5Tget_class(type);
  if (kind != H5T_FLOAT && kind != H5T_INTEGER)
    throw InputError(
        fmt::format("{}: attribute '{}' of '{}' is not a number", path_, name, object));
  double value = 0;
  H5_CHECK(H5Aread(attribute, H5T_NATIVE_DOUBLE, &value));
  return value;
}

void H5File::write_scalar_attribute(const std::string& object, const std::string& name,
                                    hid_t file_type, hid_t memory_type, const void* value) {
  const H5Handle target = open_object(object);
  if (has_attribute(object, name)) H5_CHECK(H5Adelete(target, name.c_str()));
  const H5Handle space(H5_CHECK(H5Screate(H5S_SCALAR)), H5Sclose);
  H5Handle attribute(
      H5_CHECK(H5Acreate2(target, name.c_str(), file_type, space, H5P_DEFAULT, H5P_DEFAULT)),
      H5Aclose);
  H5_CHECK(H5Awrite(attribute, memory_type, value));
  attribute.close_checked();
}

void H5File::set_attribute(const std::string& object, const std::string& name,
                           const std::string& value) {
  const H5Handle type = utf8_type(H5T_VARIABLE);
  const char* text = value.c_str();
  write_scalar_attribute(object, name, type, type, static_cast<const void*>(&text));
}

void H5File::set_attribute(const std::string& object, const std::string& name, double value) {
  write_scalar_attribute(object, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, &value);
}

void H5File::set_int_attribute(const std::string& object, const std::string& name, int64_t value) {
  write_scalar_attribute(object, name, H5T_STD_I64LE, H5T_NATIVE_INT64, &value);
}

}  // namespace galette::io
