// Feeds bytes to everything that reads a file or parses a layout: only InputError may come out.
// Built with clang and -Dslicewise_FUZZ=ON it is a libFuzzer target; otherwise replay.cc drives it.
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "slicewise/config/baseline_config.h"
#include "slicewise/config/calibration_config.h"
#include "slicewise/config/chip_config.h"
#include "slicewise/config/measurement_config.h"
#include "slicewise/config/model_config.h"
#include "slicewise/config/plan_config.h"
#include "slicewise/layout/layout.h"
#include "slicewise/units/input_error.h"

namespace {

template <class Read>
void MayRefuse(const Read& read) {
  try {
    static_cast<void>(read());
  } catch (const slicewise::InputError&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(data, data + size);
  const std::string path =
      (std::filesystem::temp_directory_path() / ("slicewise_fuzz_" + std::to_string(getpid())))
          .string();
  std::ofstream(path, std::ios::binary) << text;
  MayRefuse([&] { return slicewise::LoadModel(path); });
  MayRefuse([&] { return slicewise::LoadChip(path); });
  MayRefuse([&] { return slicewise::LoadCalibration(path); });
  MayRefuse([&] { return slicewise::LoadMeasurements(path); });
  MayRefuse([&] { return slicewise::LoadPlanFile(path); });
  std::remove(path.c_str());
  const slicewise::Document document = {.source = "fuzz", .text = text};
  MayRefuse([&] { return slicewise::NewBaseline(document); });
  MayRefuse([&] { return slicewise::ReadPredictions(document); });
  MayRefuse([&] {
    // What can be read can be written, and what is written can be read.
    static_cast<void>(slicewise::ReadBaseline(document));
    return slicewise::ReadPredictions(
        {.source = "fuzz", .text = slicewise::AcceptedBaseline(document, {}, "fuzz", "0")});
  });
  const slicewise::Mesh mesh(slicewise::Slice{.dims = {4, 4, 4}, .wraps = true});
  MayRefuse([&] {
    const slicewise::Layout layout = slicewise::ParseLayout(text, mesh);
    if (!(slicewise::ParseLayout(slicewise::ToString(layout, mesh), mesh) == layout)) {
      throw std::runtime_error("layout does not round-trip: " + text);
    }
    return layout;
  });
  return 0;
}
