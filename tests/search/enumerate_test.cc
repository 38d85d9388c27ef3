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
    for (int axis = 0; axis < mesh.axis_count(); ++axis) {
      ++groups[mesh.axis(axis).size];
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

// Nine options for an axis beyond the paper: 9^k layouts, multisets C(n + 8, 8) for n equal axes.
// The slow twin: every way to put every axis under E, F or R, gathered or not, and under B, H or S,
// kept where WhyIllegal has no objection.
TEST(EnumerateLayouts, WholeSpaceIsNineToThePowerOfTheAxes) {
  for (const Shape& shape : kShapes) {
    const Mesh mesh = MeshOf(shape.dims[0], shape.dims[1], shape.dims[2]);
    const std::vector<Layout> layouts =
        EnumerateLayouts(mesh, LayoutFilter("*/*/*", mesh), LayoutSpace::kAll);
    std::set<std::string> texts;
    for (const Layout& layout : layouts) {
      texts.insert(ToString(layout, mesh));
    }
    EXPECT_EQ(texts.size(), layouts.size());
    std::set<std::string> legal;
    const int axes = mesh.axis_count();
    const int choices = static_cast<int>(std::pow(3 * 2 * 3, axes));
    for (int code = 0; code < choices; ++code) {
      Layout layout;
      for (int axis = 0, all = code; axis < axes; ++axis, all /= 18) {
        const int rest = all % 18;
        const AxisSet set = AxisSet::Of(axis);
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
    EXPECT_EQ(texts, legal) << ToString(mesh.slice());
    EXPECT_EQ(layouts.size(), static_cast<std::size_t>(std::pow(9, axes)));
    std::map<int, std::size_t> groups;
    for (int axis = 0; axis < axes; ++axis) {
      ++groups[mesh.axis(axis).size];
    }
    std::size_t classes = 1;
    for (const auto& [size, count] : groups) {
      classes *= Choose(count + 8, 8);
    }
    EXPECT_EQ(ClassRepresentatives(layouts, mesh).size(), classes) << ToString(mesh.slice());
  }
}

// A filter that names R or S needs no leave to go beyond the paper.
TEST(EnumerateLayouts, FiltersMayNameReplicasAndSequence) {
  const Mesh mesh = MeshOf(4, 4, 4);
  // R over z: B for it; the other two axes have E fixed over x, F over y: ws or wg, B, H or S.
  EXPECT_EQ(Enumerated(mesh, "Ex.Fy.Rz/*/*").size(), 16U);  // (3 of B, H, S + 1 gathered)^2
  EXPECT_EQ(Enumerated(mesh, "*/*/Hxy.Sz").size(), 8U);     // E or F for each
  EXPECT_EQ(Enumerated(mesh, "Rxyz/ws/Bxyz").size(), 1U);
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

// Text of a layout after renaming axes i -> to[i].
std::string Relabelled(const Layout& layout, const std::array<int, 3>& to, const Mesh& mesh) {
  const auto moved = [&](AxisSet set) {
    AxisSet out;
    for (int axis : set) {
      out |= AxisSet::Of(to[static_cast<std::size_t>(axis)]);
    }
    return out;
  };
  Layout other = layout;
  for (AxisSet Layout::*part : {&Layout::weights_embed, &Layout::weights_ffn, &Layout::gathered,
                                &Layout::attention_batch, &Layout::attention_heads}) {
    other.*part = moved(layout.*part);
  }
  if (layout.residual) {
    other.residual = moved(*layout.residual);
  }
  return ToString(other, mesh);
}

// The slow twin: a representative is the smallest text among all renamings of equal axes, and every
// layout has its class's among them.
TEST(ClassRepresentatives, AreTheSmallestTextsOfTheirOrbits) {
  for (const auto& dims : {std::array<int, 3>{4, 4, 4}, {2, 4, 4}, {4, 2, 4}, {4, 8, 12}}) {
    const Mesh mesh = MeshOf(dims[0], dims[1], dims[2]);
    const std::vector<Layout> layouts = Enumerated(mesh, "*/*/*/*");
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
      for (const Layout& layout : Enumerated(mesh)) {
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
