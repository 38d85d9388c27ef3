// The space of layouts and its classes, against closed forms and a slow twin.
#include "slicewise/search/enumerate.h"

#include <cmath>
#include <map>
#include <set>

#include "program/program_test_util.h"
#include "slicewise/search/search.h"

namespace slicewise {
namespace {

std::vector<Layout> Enumerated(const Mesh& mesh, const char* filter = "*/*/*") {
  return EnumerateLayouts(mesh, LayoutFilter(filter, mesh));
}

std::size_t Choose(std::size_t n, std::size_t k) {
  std::size_t result = 1;
  for (std::size_t i = 1; i <= k; ++i) {
    result = result * (n - k + i) / i;
  }
  return result;
}

struct Shape {
  std::array<int, 3> dims;
  std::size_t layouts, classes;
};

// 6^k layouts; a group of n equal axes has the multisets of n options of 6, C(n + 5, 5).
const std::vector<Shape> kShapes = {{{4, 4, 4}, 216, 56},    // C(8, 5)
                                    {{2, 2, 2}, 216, 56},    //
                                    {{2, 4, 4}, 216, 126},   // 6 x C(7, 5)
                                    {{4, 2, 4}, 216, 126},   // whichever axes are equal
                                    {{4, 4, 8}, 216, 126},   //
                                    {{4, 8, 12}, 216, 216},  // no two alike
                                    {{1, 2, 2}, 36, 21},     // C(7, 5)
                                    {{4, 1, 8}, 36, 36},     //
                                    {{1, 1, 4}, 6, 6},       //
                                    {{1, 1, 1}, 1, 1}};

TEST(EnumerateLayouts, SixToThePowerOfTheAxes) {
  for (const Shape& shape : kShapes) {
    const Mesh mesh = MeshOf(shape.dims[0], shape.dims[1], shape.dims[2]);
    const std::vector<Layout> layouts = Enumerated(mesh);
    EXPECT_EQ(layouts.size(), shape.layouts) << ToString(mesh.slice());
    std::set<std::string> texts;
    for (const Layout& layout : layouts) {
      EXPECT_EQ(WhyIllegal(layout, mesh), std::nullopt);
      EXPECT_FALSE(layout.residual.has_value());
      texts.insert(ToString(layout, mesh));
    }
    EXPECT_EQ(texts.size(), layouts.size());
  }
}

TEST(EnumerateLayouts, ClassesAreMultisetsOfOptionsPerGroupOfEqualAxes) {
  for (const Shape& shape : kShapes) {
    const Mesh mesh = MeshOf(shape.dims[0], shape.dims[1], shape.dims[2]);
    std::map<int, std::size_t> groups;
    for (AxisSet axis : mesh.Parts(mesh.all())) {
      ++groups[mesh.IntSize(axis)];
    }
    std::size_t expected = 1;
    for (const auto& [size, count] : groups) {
      expected *= Choose(count + 5, 5);
    }
    EXPECT_EQ(expected, shape.classes) << ToString(mesh.slice());
    EXPECT_EQ(ClassRepresentatives(Enumerated(mesh), mesh).size(), expected)
        << ToString(mesh.slice());
  }
}

// Every way to put every one of the axes under E, F or R, gathered or not, and under B, H or S,
// kept where WhyIllegal has no objection: a slow twin of the enumeration.
std::set<std::string> LegalTexts(const std::vector<AxisSet>& axes, const Mesh& mesh) {
  std::set<std::string> legal;
  const int choices = static_cast<int>(std::pow(3 * 2 * 3, axes.size()));
  for (int code = 0; code < choices; ++code) {
    Layout layout;
    int all = code;
    for (AxisSet set : axes) {
      const int rest = all % 18;
      all /= 18;
      AxisSet Layout::*weights[] = {&Layout::weights_embed, &Layout::weights_ffn,
                                    &Layout::replicas};
      AxisSet Layout::*attention[] = {&Layout::attention_batch, &Layout::attention_heads,
                                      &Layout::attention_sequence};
      layout.*weights[rest % 3] |= set;
      layout.*attention[rest / 3 % 3] |= set;
      layout.gathered |= rest / 9 == 1 ? set : AxisSet();
    }
    if (!WhyIllegal(layout, mesh)) {
      legal.insert(ToString(layout, mesh));
    }
  }
  return legal;
}

std::size_t Power(std::size_t base, std::size_t exponent) {
  return exponent == 0 ? 1 : base * Power(base, exponent - 1);
}

// Multisets of nine options for groups of equal axes: C(n + 8, 8) for n of them.
std::size_t MultisetsOfNine(const std::vector<int>& sizes) {
  std::map<int, std::size_t> groups;
  for (int size : sizes) {
    ++groups[size];
  }
  std::size_t classes = 1;
  for (const auto& [size, count] : groups) {
    classes *= Choose(count + 8, 8);
  }
  return classes;
}

// Nine options for an axis beyond the paper: 9^k layouts. And for each axis that has factors, its
// two factors in 9 x 8 ways beside the other axes' 9^(k - 1). In classes the split axis is one of
// its length, with 72 options of its own, beside the multisets of the others.
TEST(EnumerateLayouts, WholeSpaceIsNineToThePowerOfTheAxesAndOneAxisSplit) {
  for (const Shape& shape : kShapes) {
    const Mesh mesh = MeshOf(shape.dims[0], shape.dims[1], shape.dims[2]);
    const std::vector<Layout> layouts =
        EnumerateLayouts(mesh, LayoutFilter("*/*/*", mesh), LayoutSpace::kAll);
    std::set<std::string> texts;
    for (const Layout& layout : layouts) {
      texts.insert(ToString(layout, mesh));
    }
    EXPECT_EQ(texts.size(), layouts.size());
    const std::vector<AxisSet> whole = mesh.Parts(mesh.all());
    std::vector<int> sizes;
    std::set<std::string> legal = LegalTexts(whole, mesh);
    EXPECT_EQ(legal.size(), Power(9, whole.size()));
    std::size_t count = legal.size();
    for (AxisSet axis : whole) {
      sizes.push_back(mesh.IntSize(axis));
      if (mesh.IntSize(axis) >= 4 && mesh.IntSize(axis) % 2 == 0) {
        std::vector<AxisSet> axes = mesh.Parts(mesh.all() - axis);
        axes.push_back(AxisSet::Of(axis.first()));
        axes.push_back(AxisSet::Of(axis.first() + 1));
        legal.merge(LegalTexts(axes, mesh));
        count += 72 * Power(9, whole.size() - 1);
      }
    }
    EXPECT_EQ(texts, legal) << ToString(mesh.slice());
    EXPECT_EQ(layouts.size(), count) << ToString(mesh.slice());
    std::size_t classes = MultisetsOfNine(sizes);
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      const bool first = std::find(sizes.begin(), sizes.end(), sizes[i]) - sizes.begin() ==
                         static_cast<std::ptrdiff_t>(i);
      if (first && sizes[i] >= 4 && sizes[i] % 2 == 0) {
        std::vector<int> others = sizes;
        others.erase(others.begin() + static_cast<std::ptrdiff_t>(i));
        classes += 72 * MultisetsOfNine(others);
      }
    }
    EXPECT_EQ(ClassRepresentatives(layouts, mesh).size(), classes) << ToString(mesh.slice());
  }
}

// C(11, 3) = 165 classes of whole axes on 4x4x4, and 72 C(10, 2) with one split.
TEST(EnumerateLayouts, WholeSpaceOfACube) {
  const Mesh mesh = MeshOf(4, 4, 4);
  const std::vector<Layout> layouts =
      EnumerateLayouts(mesh, LayoutFilter("*/*/*", mesh), LayoutSpace::kAll);
  EXPECT_EQ(layouts.size(), 729U + 3U * 72U * 81U);
  EXPECT_EQ(ClassRepresentatives(layouts, mesh).size(), 165U + 72U * 45U);
}

// A filter that names R or S needs no leave to go beyond the paper.
TEST(EnumerateLayouts, FiltersMayNameReplicasAndSequence) {
  const Mesh mesh = MeshOf(4, 4, 4);
  // R over z: B for it; the other two axes have E fixed over x, F over y: ws or wg, B, H or S.
  // Whole axes (3 of B, H, S + 1 gathered)^2; or one of x and y split in its attention: 4 x 4 - 4
  // ways, beside the other's 4.
  EXPECT_EQ(Enumerated(mesh, "Ex.Fy.Rz/*/*").size(), 16U + 2U * 12U * 4U);
  // E or F for each; or one of the three split between E and F, in either order.
  EXPECT_EQ(Enumerated(mesh, "*/*/Hxy.Sz").size(), 8U + 3U * 2U * 4U);
  EXPECT_EQ(Enumerated(mesh, "Rxyz/ws/Bxyz").size(), 1U);
}

// So does one that names a factor: the other axes, and the factors' own second part, are free.
TEST(EnumerateLayouts, FiltersMayNameFactors) {
  const Mesh mesh = MeshOf(4, 4, 4);
  EXPECT_EQ(Enumerated(mesh, "Ex1.Fx2yz/ws/Bxyz").size(), 1U);
  EXPECT_EQ(Enumerated(mesh, "Ex1.Fx2yz/ws/*").size(), 81U);  // B, H, S: three each way for x1..z
  EXPECT_EQ(Enumerated(mesh, "Ex.Fyz/ws/By2z.Hxy1").size(), 1U);
  EXPECT_EQ(Enumerated(mesh, "*/wg-x1/Bxyz").size(),
            // x1 is E or F and gathered; x2 the three others with B; y and z E, F or R
            2U * 3U * 9U);
  // Of layouts that split two axes only one that is named.
  EXPECT_EQ(Enumerated(mesh, "Ex1y1.Fx2y2z/ws/Bxyz").size(), 1U);
  EXPECT_EQ(Enumerated(mesh, "Ex1y1.Fx2y2z/ws/*").size(), 0U);
  EXPECT_EQ(Enumerated(mesh, "Ex.Fyz/ws/Hxyz/Exy1").size(), 1U);
}

TEST(EnumerateLayouts, FourthPartsOnlyWhenAskedFor) {
  const Mesh mesh = MeshOf(4, 4, 4);
  EXPECT_EQ(Enumerated(mesh, "*/*/*/*").size(), 512U);  // see layout_test.cc
  EXPECT_EQ(Enumerated(mesh, "Fxyz/ws/Bxyz/*").size(), 8U);
  EXPECT_EQ(Enumerated(mesh, "Fxyz/ws/Bxyz/Ex").size(), 1U);
  EXPECT_EQ(Enumerated(mesh, "*/ws/*/Ex").size(),
            // Fxyz, and Ex with y and z in F; each with 8 attentions
            16U);
  EXPECT_EQ(Enumerated(mesh, "Ex.Fyz/*/*").size(), 27U);
  EXPECT_EQ(Enumerated(mesh, "*/wg-x/Hxyz").size(), 0U);
}

TEST(EnumerateLayouts, OrderIsFixed) {
  const Mesh mesh = MeshOf(4, 4, 4);
  EXPECT_EQ(Enumerated(mesh), Enumerated(mesh));
}

// Text of a layout after renaming physical axes p to to[p].
std::string Relabelled(const Layout& layout, const std::array<int, 3>& to, const Mesh& mesh) {
  Layout other = layout;
  for (AxisSet Layout::*part :
       {&Layout::weights_embed, &Layout::weights_ffn, &Layout::replicas, &Layout::gathered,
        &Layout::attention_batch, &Layout::attention_heads, &Layout::attention_sequence}) {
    other.*part = Relabelled(layout.*part, to, mesh);
  }
  if (layout.residual) {
    other.residual = Relabelled(*layout.residual, to, mesh);
  }
  return ToString(other, mesh);
}

// The slow twin: a representative is the smallest text among all renamings of equal axes, and every
// layout has its class's among them.
TEST(ClassRepresentatives, AreTheSmallestTextsOfTheirOrbits) {
  for (const auto& dims : {std::array<int, 3>{4, 4, 4}, {2, 4, 4}, {4, 2, 4}, {4, 8, 12}}) {
    const Mesh mesh = MeshOf(dims[0], dims[1], dims[2]);
    std::vector<Layout> layouts = Enumerated(mesh, "*/*/*/*");
    const std::vector<Layout> split = SplitLayouts(mesh);
    layouts.insert(layouts.end(), split.begin(), split.end());
    std::set<std::string> smallest;
    for (const Layout& layout : layouts) {
      std::string best = ToString(layout, mesh);
      std::array<int, 3> to = {0, 1, 2};
      do {
        bool same = true;
        for (std::size_t i = 0; i < 3; ++i) {
          same = same && dims[i] == dims[static_cast<std::size_t>(to[i])];
        }
        if (same) {
          best = std::min(best, Relabelled(layout, to, mesh));
        }
      } while (std::next_permutation(to.begin(), to.end()));
      smallest.insert(best);
    }
    std::set<std::string> found;
    for (const Layout& layout : ClassRepresentatives(layouts, mesh)) {
      found.insert(ToString(layout, mesh));
    }
    EXPECT_EQ(found, smallest) << ToString(mesh.slice());
  }
}

// All members of a class price the same, for every kind of attention: the search may look at one.
TEST(ClassRepresentatives, StandForTheirClass) {
  const Mesh mesh = MeshOf(4, 4, 4);
  Workload work = SmallWorkload();
  work.decode_batch = 100;  // takes padding
  for (const Model& model : TestModels()) {
    Evaluator evaluator(SettingOf(model, mesh.slice(), work, RoughCalibration()));
    for (Phase phase : {Phase::kPrefill, Phase::kDecode}) {
      std::vector<Layout> layouts = Enumerated(mesh);
      const std::vector<Layout> split = SplitLayouts(mesh);
      for (std::size_t i = 0; i < split.size(); i += 7) {
        layouts.push_back(split[i]);
      }
      for (const Layout& layout : layouts) {
        // The class: all six renamings.
        const Plan plan = *evaluator.Evaluate(layout, phase);
        std::array<int, 3> to = {0, 1, 2};
        while (std::next_permutation(to.begin(), to.end())) {
          const Layout other = ParseLayout(Relabelled(layout, to, mesh), mesh);
          const Plan twin = *evaluator.Evaluate(other, phase);
          ASSERT_NEAR(plan.latency / twin.latency, 1, 1e-12)
              << model.name << " " << ToString(layout, mesh) << " and " << ToString(other, mesh);
          ASSERT_NEAR(plan.memory.total() / twin.memory.total(), 1, 1e-12)
              << model.name << " " << ToString(layout, mesh) << " and " << ToString(other, mesh);
        }
      }
    }
  }
}

}  // namespace
}  // namespace slicewise
