#include "slicewise/layout/layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "slicewise/units/input_error.h"

namespace slicewise {
namespace {

constexpr std::string_view kWeightLetters = "EFR";
constexpr std::string_view kAttentionLetters = "BHS";

struct Letter {
  char letter;
  AxisSet axes;
};

char* Write(std::string_view text, char* out) { return std::copy(text.begin(), text.end(), out); }

// "Bx.Hyz"; with no axes at all the second letter alone.
char* WriteLetters(const std::array<Letter, 3>& letters, const Mesh& mesh, char* out) {
  char* const begin = out;
  for (const Letter& item : letters) {
    if (!item.axes.empty()) {
      if (out != begin) {
        *out++ = '.';
      }
      *out++ = item.letter;
      out = mesh.WriteNames(AxisOrder(item.axes), out);
    }
  }
  if (out == begin) {
    *out++ = letters[1].letter;
  }
  return out;
}

std::array<Letter, 3> WeightLetters(const Layout& layout) {
  return {{{'E', layout.weights_embed}, {'F', layout.weights_ffn}, {'R', layout.replicas}}};
}

std::array<Letter, 3> AttentionLetters(const Layout& layout) {
  return {{{'B', layout.attention_batch},
           {'H', layout.attention_heads},
           {'S', layout.attention_sequence}}};
}

char* WriteFfn(const Layout& layout, const Mesh& mesh, char* out) {
  return layout.gathered.empty() ? Write("ws", out)
                                 : mesh.WriteNames(AxisOrder(layout.gathered), Write("wg-", out));
}

// The text of one part, as `write` puts it down.
template <typename WritePart>
std::string TextOf(WritePart&& write) {
  std::array<char, std::size_t{2} * kMaxMeshAxes + 6> text;
  return std::string(text.data(), write(text.data()));
}

std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) {
      return parts;
    }
    text.remove_prefix(end + 1);
  }
}

// Parses the parts of one layout text; every failure names the whole text and the part.
class Parser {
 public:
  Parser(std::string_view text, const Mesh& mesh) : text_(text), mesh_(mesh) {
    parts_ = Split(text, '/');
    if (parts_.size() != 3 && parts_.size() != 4) {
      Fail("expected <weights>/<ffn>/<attention>, such as Ex.Fyz/ws/Bxyz");
    }
  }

  [[nodiscard]] bool has_residual() const { return parts_.size() == 4; }
  [[nodiscard]] bool IsWildcard(std::size_t part) const { return parts_[part] == "*"; }

  // The axes under three letters of a part; every letter at most once.
  std::array<AxisSet, 3> Letters(std::size_t part, std::string_view letters) const {
    std::array<AxisSet, 3> sets;
    std::array<bool, 3> seen = {};
    for (std::string_view group : Split(parts_[part], '.')) {
      const std::size_t which = group.empty() ? letters.npos : letters.find(group[0]);
      if (which == letters.npos || seen[which]) {
        Fail(fmt::format("in '{}' expected {}, {} and {}, each at most once and followed by axes",
                         parts_[part], letters[0], letters[1], letters[2]));
      }
      seen[which] = true;
      sets[which] = Axes(group.substr(1), part);
    }
    const AxisSet twice = (sets[0] & sets[1]) | (sets[0] & sets[2]) | (sets[1] & sets[2]);
    if (!twice.empty()) {
      Fail(fmt::format("in '{}' axis {} appears twice", parts_[part], mesh_.Names(twice)));
    }
    return sets;
  }

  AxisSet Gathered() const {
    const std::string_view ffn = parts_[1];
    if (ffn == "ws") {
      return {};
    }
    if (!ffn.starts_with("wg-") || ffn.size() == 3) {
      Fail(fmt::format("in '{}' expected ws, or wg- and the axes gathered over, such as wg-xyz",
                       ffn));
    }
    return Axes(ffn.substr(3), 1);
  }

  AxisSet Residual() const {
    if (parts_[3].empty() || parts_[3][0] != 'E') {
      Fail(fmt::format("in '{}' expected E and the axes the residual keeps", parts_[3]));
    }
    return Axes(parts_[3].substr(1), 3);
  }

  [[noreturn]] void Fail(const std::string& reason) const {
    throw InputError(fmt::format("layout '{}': {}", text_, reason));
  }

 private:
  // Axes of length 1 are dropped.
  AxisSet Axes(std::string_view names, std::size_t part) const {
    AxisSet axes;
    std::array<unsigned, 3> seen = {};  // by physical axis: 1 its major factor, 2 its minor
    while (!names.empty()) {
      const char letter = names.front();
      if (letter < 'x' || letter > 'z') {
        Fail(
            fmt::format("in '{}' '{}' is not an axis; the axes are x, y, z, and their factors x1, "
                        "x2 and so on",
                        parts_[part], letter));
      }
      const unsigned factor = names.size() > 1 && (names[1] == '1' || names[1] == '2')
                                  ? static_cast<unsigned>(names[1] - '0')
                                  : 0;
      const std::string_view name = names.substr(0, factor == 0 ? 1 : 2);
      const unsigned halves = factor == 0 ? 3 : factor;
      unsigned& before = seen[static_cast<std::size_t>(letter - 'x')];
      if ((before & halves) != 0) {
        Fail(fmt::format("in '{}' axis {} appears twice", parts_[part], name));
      }
      before |= halves;
      axes |= factor == 0 ? mesh_.Physical(letter - 'x') : Factor(letter, factor, part);
      names.remove_prefix(name.size());
    }
    return axes;
  }

  AxisSet Factor(char letter, unsigned factor, std::size_t part) const {
    const AxisSet both = mesh_.Physical(letter - 'x');
    if (both.count() < 2) {
      Fail(
          fmt::format("in '{0}' {1}{2} is a factor of {1}, which is {3} long in {4}; only an even "
                      "length of 4 or more has factors",
                      parts_[part], letter, factor, mesh_.IntSize(both), ToString(mesh_.slice())));
    }
    return AxisSet::Of(both.first() + static_cast<int>(factor) - 1);
  }

  std::string_view text_;
  const Mesh& mesh_;
  std::vector<std::string_view> parts_;
};

std::string WeightsWords(const Layout& layout) {
  if ((layout.weights_embed | layout.weights_ffn).empty() && !layout.replicas.empty()) {
    return "whole weights";
  }
  if (layout.gathered.empty()) {
    const bool one_dimensional = layout.weights_embed.empty() || layout.weights_ffn.empty();
    return one_dimensional ? "1D weight-stationary" : "2D weight-stationary";
  }
  return "weight-gathered over ";
}

}  // namespace

AxisSet SplitAxes(const Layout& layout, const Mesh& mesh) {
  AxisSet split;
  for (AxisSet set : {layout.weights_embed, layout.weights_ffn, layout.replicas, layout.gathered,
                      layout.attention_batch, layout.attention_heads, layout.attention_sequence,
                      layout.residual.value_or(AxisSet())}) {
    split |= mesh.Whole(mesh.Factors(set));
  }
  return split;
}

bool IsBeyondPaper(const Layout& layout, const Mesh& mesh) {
  return !layout.replicas.empty() || !layout.attention_sequence.empty() ||
         !SplitAxes(layout, mesh).empty();
}

LayoutText::LayoutText(const Layout& layout, const Mesh& mesh) {
  char* out = WriteLetters(WeightLetters(layout), mesh, text_.data());
  out = WriteFfn(layout, mesh, Write("/", out));
  out = WriteLetters(AttentionLetters(layout), mesh, Write("/", out));
  if (layout.residual) {
    out = mesh.WriteNames(AxisOrder(*layout.residual), Write("/E", out));
  }
  size_ = static_cast<std::size_t>(out - text_.data());
}

std::string ToString(const Layout& layout, const Mesh& mesh) {
  return std::string(LayoutText(layout, mesh).view());
}

std::string WeightsText(const Layout& layout, const Mesh& mesh) {
  return TextOf([&](char* out) { return WriteLetters(WeightLetters(layout), mesh, out); });
}

std::string FfnText(const Layout& layout, const Mesh& mesh) {
  return TextOf([&](char* out) { return WriteFfn(layout, mesh, out); });
}

std::string AttentionText(const Layout& layout, const Mesh& mesh) {
  return TextOf([&](char* out) { return WriteLetters(AttentionLetters(layout), mesh, out); });
}

Layout ParseLayout(std::string_view text, const Mesh& mesh) {
  const Parser parser(text, mesh);
  for (std::size_t part = 0; part < 3; ++part) {
    if (parser.IsWildcard(part)) {
      parser.Fail("'*' names a family of layouts; one layout was expected here");
    }
  }
  Layout layout;
  const auto weights = parser.Letters(0, kWeightLetters);
  const auto attention = parser.Letters(2, kAttentionLetters);
  layout.weights_embed = weights[0];
  layout.weights_ffn = weights[1];
  layout.replicas = weights[2];
  layout.gathered = parser.Gathered();
  layout.attention_batch = attention[0];
  layout.attention_heads = attention[1];
  layout.attention_sequence = attention[2];
  if (parser.has_residual()) {
    layout.residual = parser.Residual();
  }
  if (const auto reason = WhyIllegal(layout, mesh)) {
    parser.Fail(*reason);
  }
  // A fourth part that says what holds anyway is not printed.
  if (layout.residual == (layout.weights_embed | layout.weights_ffn) - layout.gathered) {
    layout.residual.reset();
  }
  return layout;
}

std::optional<std::string> WhyIllegal(const Layout& layout, const Mesh& mesh) {
  const auto once = [&](AxisSet a, AxisSet b, AxisSet c,
                        std::string_view part) -> std::optional<std::string> {
    if (const AxisSet twice = (a & b) | (a & c) | (b & c); !twice.empty()) {
      return fmt::format("axis {} appears twice in the {} part", mesh.Names(twice), part);
    }
    if (const AxisSet all = a | b | c; all != mesh.all()) {
      return fmt::format("axis {} is missing from the {} part of a layout for {}",
                         mesh.Names(mesh.all() - all), part, ToString(mesh.slice()));
    }
    return std::nullopt;
  };
  if (auto reason = once(layout.weights_embed, layout.weights_ffn, layout.replicas, "weights")) {
    return reason;
  }
  if (auto reason = once(layout.attention_batch, layout.attention_heads, layout.attention_sequence,
                         "attention")) {
    return reason;
  }
  if (const AxisSet both = layout.gathered & layout.replicas; !both.empty()) {
    return fmt::format("the weights are replicated over {}: there is nothing to gather over it",
                       mesh.Names(both));
  }
  if (const AxisSet outside = layout.replicas - layout.attention_batch; !outside.empty()) {
    return fmt::format(
        "weights are replicated over {}, so the batch is sharded over it and attention must be too "
        "(B{} in the attention part)",
        mesh.Names(outside), mesh.Names(layout.replicas | layout.attention_batch));
  }
  if (const AxisSet outside = layout.gathered - layout.attention_batch; !outside.empty()) {
    return fmt::format(
        "weights are gathered over {}, so the batch is sharded over it and attention must be too "
        "(B{} in the attention part)",
        mesh.Names(outside), mesh.Names(layout.gathered | layout.attention_batch));
  }
  if (layout.residual) {
    if (const AxisSet bad = *layout.residual & layout.gathered; !bad.empty()) {
      return fmt::format("the residual cannot keep d_model over the gathered axis {}",
                         mesh.Names(bad));
    }
    if (const AxisSet bad = *layout.residual & layout.replicas; !bad.empty()) {
      return fmt::format("the residual cannot keep d_model over the replica axis {}",
                         mesh.Names(bad));
    }
    const AxisSet missing = (layout.weights_embed - layout.gathered) - *layout.residual;
    if (!missing.empty()) {
      return fmt::format("the residual must keep d_model over {}, which shards E of the weights",
                         mesh.Names(missing));
    }
  }
  return std::nullopt;
}

std::string Describe(const Layout& layout, const Mesh& mesh) {
  std::string words = WeightsWords(layout);
  if (!layout.gathered.empty()) {
    words += mesh.Names(layout.gathered);
  }
  if (!layout.replicas.empty()) {
    words += ", replicated over " + mesh.Names(layout.replicas);
  }
  std::vector<std::string_view> over;
  if (!layout.attention_batch.empty()) {
    over.emplace_back("batch");
  }
  if (!layout.attention_heads.empty() ||
      (layout.attention_batch.empty() && layout.attention_sequence.empty())) {
    over.emplace_back("heads");
  }
  if (!layout.attention_sequence.empty()) {
    over.emplace_back("sequence");
  }
  words += fmt::format(", attention over {}", fmt::join(over, " and "));
  if (layout.residual) {
    words += ", residual over " +
             (layout.residual->empty() ? std::string("no axis") : mesh.Names(*layout.residual));
  }
  return words;
}

LayoutFilter::LayoutFilter(std::string_view text, const Mesh& mesh) {
  const Parser parser(text, mesh);
  if (!parser.IsWildcard(0)) {
    const auto axes = parser.Letters(0, kWeightLetters);
    weights_ = Triple{axes[0], axes[1], axes[2]};
  }
  if (!parser.IsWildcard(1)) {
    ffn_ = parser.Gathered();
  }
  if (!parser.IsWildcard(2)) {
    const auto axes = parser.Letters(2, kAttentionLetters);
    attention_ = Triple{axes[0], axes[1], axes[2]};
  }
  if (parser.has_residual()) {
    any_residual_ = parser.IsWildcard(3);
    if (!any_residual_) {
      residual_ = parser.Residual();
    }
  }
  const auto beyond = [&](const std::optional<Triple>& part) {
    return part && (!part->third.empty() || !mesh.Factors(part->first).empty() ||
                    !mesh.Factors(part->second).empty());
  };
  beyond_paper_ = beyond(weights_) || beyond(attention_) ||
                  (ffn_ && !mesh.Factors(*ffn_).empty()) ||
                  (residual_ && !mesh.Factors(*residual_).empty());
  if (weights_ && ffn_ && attention_ && !any_residual_) {
    // One layout: a mistake in it is worth its reason, not an empty result.
    layout_ = ParseLayout(text, mesh);
    residual_ = layout_->residual;
  } else if ((weights_ && weights_->all() != mesh.all()) ||
             (attention_ && attention_->all() != mesh.all())) {
    parser.Fail(fmt::format("every axis of {} ({}) must appear in each part that is not '*'",
                            ToString(mesh.slice()), mesh.Names(mesh.all())));
  }
}

bool LayoutFilter::Matches(const Layout& layout) const {
  return (!weights_ ||
          *weights_ == Triple{layout.weights_embed, layout.weights_ffn, layout.replicas}) &&
         (!ffn_ || *ffn_ == layout.gathered) &&
         (!attention_ || *attention_ == Triple{layout.attention_batch, layout.attention_heads,
                                               layout.attention_sequence}) &&
         (any_residual_ || residual_ == layout.residual);
}

}  // namespace slicewise
