// Runs the fuzz target over the presets and over seeded mutations of them.
//
//   slicewise_fuzz_replay DIRECTORY [SEED]
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <random>
#include <sstream>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

constexpr int kMutationsPerFile = 40;

void Feed(const std::string& text) {
  const std::vector<std::uint8_t> bytes(text.begin(), text.end());
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
}

// Overwrites, removes or repeats a few bytes.
std::string Mutate(std::string text, std::mt19937& random) {
  static const std::string kAlphabet = "{}[]\",:0123456789-.eE \\/xyzEFBHws";
  for (int change = 0; change < 3 && !text.empty(); ++change) {
    const std::size_t at = random() % text.size();
    switch (random() % 3) {
      case 0:
        text[at] = kAlphabet[random() % kAlphabet.size()];
        break;
      case 1:
        text.erase(at, random() % 9);
        break;
      default:
        text.insert(at, text.substr(at, random() % 9));
    }
  }
  return text;
}

}  // namespace

int main(int argc, char** argv) {
  const std::uint32_t seed = argc > 2 ? static_cast<std::uint32_t>(std::stoul(argv[2])) : 1;
  std::mt19937 random(seed);
  std::vector<std::string> texts = {"Ex.Fyz/ws/Bxyz", "Ex.Fyz/wg-xy/Bxy.Hz", "Fxyz/ws/Bxyz/Ex"};
  for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[1])) {
    if (entry.path().extension() == ".json" && entry.file_size() < 10000) {
      std::ostringstream text;
      text << std::ifstream(entry.path()).rdbuf();
      texts.push_back(text.str());
    }
  }
  std::cout << "seed " << seed << ", " << texts.size() << " files\n";
  for (const std::string& text : texts) {
    Feed(text);
    for (int i = 0; i < kMutationsPerFile; ++i) {
      Feed(Mutate(text, random));
    }
  }
  return 0;
}
