// The notation: printing, parsing, normalising, legality with its reasons, filters, words.
#include "slicewise/layout/layout.h"

#include <set>

#include "program/program_test_util.h"

namespace slicewise {
namespace {

const std::vector<std::array<int, 3>> kSlices = {{4, 4, 4}, {2, 4, 4}, {1, 2, 2}, {4, 1, 1},
                                                 {1, 1, 1}, {4, 1, 8}, {4, 8, 8}};

TEST(Layout, ParseOfPrintIsTheLayout) {
  std::size_t on_cube = 0;
  for (const auto& dims : kSlices) {
    const Mesh mesh = MeshOf(dims[0], dims[1], dims[2]);
    std::set<std::string> texts;
    const std::vector<Layout> layouts = EveryLayout(mesh);
    for (const Layout& layout : layouts) {
      const std::string text = ToString(layout, mesh);
      EXPECT_EQ(ParseLayout(text, mesh), layout) << text;
      EXPECT_EQ(ToString(ParseLayout(text, mesh), mesh), text);
      texts.insert(text);
    }
    EXPECT_EQ(texts.size(), layouts.size())
        << "two layouts share a text on " << ToString(mesh.slice());
    on_cube = dims == std::array<int, 3>{4, 4, 4} ? layouts.size() : on_cube;
  }
  // 729, and a proper subset of the F axes not gathered for each fourth part. An axis of a layout
  // is E (4 options, kept), F and gathered (1), R (1), or F and not (3): kept or dropped, 4 + 1 + 1
  // + 3 x 2 = 12 of them, 12^3 = 1728 residuals in all, one of each layout being the default.
  EXPECT_EQ(on_cube, 1728U);
}

TEST(Layout, CanonicalTexts) {
  const Mesh mesh = MeshOf(4, 4, 4);
  Layout layout;
  const AxisSet x = mesh.Physical(0);
  const AxisSet y = mesh.Physical(1);
  const AxisSet z = mesh.Physical(2);
  layout.weights_embed = x;
  layout.weights_ffn = y | z;
  layout.attention_batch = mesh.all();
  EXPECT_EQ(ToString(layout, mesh), "Ex.Fyz/ws/Bxyz");
  layout.gathered = x | z;
  EXPECT_EQ(ToString(layout, mesh), "Ex.Fyz/wg-xz/Bxyz");
  layout.attention_batch = layout.gathered;
  layout.attention_heads = y;
  EXPECT_EQ(ToString(layout, mesh), "Ex.Fyz/wg-xz/Bxz.Hy");
  layout.residual = AxisSet();
  EXPECT_EQ(ToString(layout, mesh), "Ex.Fyz/wg-xz/Bxz.Hy/E");
  EXPECT_EQ(WeightsText(layout, mesh), "Ex.Fyz");
  EXPECT_EQ(FfnText(layout, mesh), "wg-xz");
  EXPECT_EQ(AttentionText(layout, mesh), "Bxz.Hy");
  // One chip has no axes.
  EXPECT_EQ(ToString(Layout(), MeshOf(1, 1, 1)), "F/ws/H");
}

TEST(Layout, OtherOrdersAreNormalised) {
  const Mesh mesh = MeshOf(4, 4, 4);
  const auto normal = [&](const char* text) { return ToString(ParseLayout(text, mesh), mesh); };
  EXPECT_EQ(normal("Fzy.Ex/ws/Hzyx"), "Ex.Fyz/ws/Hxyz");
  EXPECT_EQ(normal("Fyxz/wg-zx/Hy.Bzx"), "Fxyz/wg-xz/Bxz.Hy");
  EXPECT_EQ(normal("Fxyz/ws/Hxyz/Ex"), "Fxyz/ws/Hxyz/Ex");
  EXPECT_EQ(normal("Rz.Fy.Ex/ws/Sy.Bz.Hx"), "Ex.Fy.Rz/ws/Bz.Hx.Sy");
  EXPECT_EQ(normal("Rxyz/ws/Bxyz"), "Rxyz/ws/Bxyz");
  // A fourth part that says what holds anyway is dropped.
  EXPECT_EQ(normal("Fxyz/ws/Hxyz/Ezyx"), "Fxyz/ws/Hxyz");
  EXPECT_EQ(normal("Ex.Fyz/wg-y/By.Hxz/Exz"), "Ex.Fyz/wg-y/By.Hxz");
}

TEST(Layout, AxesOfLengthOneAreDropped) {
  const Mesh mesh = MeshOf(1, 2, 2);
  EXPECT_EQ(ToString(ParseLayout("Ex.Fyz/wg-xy/Bxy.Hz", mesh), mesh), "Fyz/wg-y/By.Hz");
  EXPECT_EQ(ToString(ParseLayout("Fyz/ws/Hyz", mesh), mesh), "Fyz/ws/Hyz");
  // Gathering over nothing is weight-stationary.
  EXPECT_EQ(ToString(ParseLayout("Fyz/wg-x/Hyz", mesh), mesh), "Fyz/ws/Hyz");
}

struct Refusal {
  const char* name;
  const char* text;
  const char* reason;
};

class Refused : public testing::TestWithParam<Refusal> {};

INSTANTIATE_TEST_SUITE_P(
    Texts, Refused,
    testing::Values(
        Refusal{"TwoParts", "Ex.Fyz/ws",
                "expected <weights>/<ffn>/<attention>, such as Ex.Fyz/ws/Bxyz"},
        Refusal{"FiveParts", "Ex.Fyz/ws/Bxyz/Ex/E",
                "expected <weights>/<ffn>/<attention>, such as Ex.Fyz/ws/Bxyz"},
        Refusal{"Empty", "", "expected <weights>/<ffn>/<attention>, such as Ex.Fyz/ws/Bxyz"},
        Refusal{"UnknownLetter", "Dx.Fyz/ws/Bxyz",
                "in 'Dx.Fyz' expected E, F and R, each at most once and followed by axes"},
        Refusal{"LetterTwice", "Ex.Ey.Fz/ws/Bxyz",
                "in 'Ex.Ey.Fz' expected E, F and R, each at most once and followed by axes"},
        Refusal{"EmptyPart", "/ws/Bxyz",
                "in '' expected E, F and R, each at most once and followed by axes"},
        Refusal{"AttentionLetter", "Ex.Fyz/ws/Exyz",
                "in 'Exyz' expected B, H and S, each at most once and followed by axes"},
        Refusal{
            "UnknownAxis", "Ex.Fyw/ws/Bxyz",
            "in 'Ex.Fyw' 'w' is not an axis; the axes are x, y, z, and their factors x1, x2 and "
            "so on"},
        Refusal{"FactorTwice", "Ex1.Fx1yz/ws/Bxyz", "in 'Ex1.Fx1yz' axis x1 appears twice"},
        Refusal{"FactorThrice", "Ex1x2x1.Fyz/ws/Bxyz", "in 'Ex1x2x1.Fyz' axis x1 appears twice"},
        Refusal{"FactorBesideItsAxis", "Exx2.Fyz/ws/Bxyz", "in 'Exx2.Fyz' axis x2 appears twice"},
        Refusal{"FactorMissing", "Ex1.Fyz/ws/Bxyz",
                "axis x2 is missing from the weights part of a layout for 4x4x4"},
        Refusal{"NoThirdFactor", "Ex3.Fyz/ws/Bxyz",
                "in 'Ex3.Fyz' '3' is not an axis; the axes are x, y, z, and their factors x1, x2 "
                "and so on"},
        Refusal{"FactorGatheredNotInBatch", "Ex.Fyz/wg-x2/Bx1.Hx2yz",
                "weights are gathered over x2, so the batch is sharded over it and attention must "
                "be too (Bx in the attention part)"},
        Refusal{"AxisTwiceInALetter", "Exx.Fyz/ws/Bxyz", "in 'Exx.Fyz' axis x appears twice"},
        Refusal{"AxisTwiceInAPart", "Exy.Fyz/ws/Bxyz", "in 'Exy.Fyz' axis y appears twice"},
        Refusal{"UnknownFfn", "Ex.Fyz/wx/Bxyz",
                "in 'wx' expected ws, or wg- and the axes gathered over, such as wg-xyz"},
        Refusal{"GatheredOverNothing", "Ex.Fyz/wg-/Bxyz",
                "in 'wg-' expected ws, or wg- and the axes gathered over, such as wg-xyz"},
        Refusal{"MissingFromWeights", "Ex.Fy/ws/Bxyz",
                "axis z is missing from the weights part of a layout for 4x4x4"},
        Refusal{"MissingFromAttention", "Ex.Fyz/ws/Bx",
                "axis yz is missing from the attention part of a layout for 4x4x4"},
        Refusal{"GatheredNotInBatch", "Ex.Fyz/wg-xy/Bx.Hyz",
                "weights are gathered over y, so the batch is sharded over it and attention must "
                "be too (Bxy in the attention part)"},
        Refusal{"ResidualLetter", "Ex.Fyz/ws/Bxyz/Fx",
                "in 'Fx' expected E and the axes the residual keeps"},
        Refusal{"ResidualOverGathered", "Ex.Fyz/wg-y/By.Hxz/Exy",
                "the residual cannot keep d_model over the gathered axis y"},
        Refusal{"ResidualWithoutE", "Ex.Fyz/ws/Bxyz/Ey",
                "the residual must keep d_model over x, which shards E of the weights"},
        Refusal{"Wildcard", "*/ws/Bxyz",
                "'*' names a family of layouts; one layout was expected here"}),
    [](const auto& param) { return param.param.name; });

TEST_P(Refused, NamesTheTextAndTheReason) {
  const Mesh mesh = MeshOf(4, 4, 4);
  EXPECT_EQ(ErrorOf([&] { static_cast<void>(ParseLayout(GetParam().text, mesh)); }),
            std::string("layout '") + GetParam().text + "': " + GetParam().reason);
}

// WhyIllegal by itself, for values that no text gives.
TEST(WhyIllegal, OverlapsOfAValue) {
  const Mesh mesh = MeshOf(4, 4, 4);
  Layout layout = ParseLayout("Ex.Fyz/ws/Bxyz", mesh);
  EXPECT_EQ(WhyIllegal(layout, mesh), std::nullopt);
  layout.weights_ffn |= mesh.Physical(0);
  EXPECT_EQ(WhyIllegal(layout, mesh), "axis x appears twice in the weights part");
  layout = ParseLayout("Ex.Fyz/ws/Bxyz", mesh);
  layout.attention_heads = mesh.Physical(2);
  EXPECT_EQ(WhyIllegal(layout, mesh), "axis z appears twice in the attention part");
}

// Of everything that can be written down over three axes, legal is what design section 3 says.
TEST(WhyIllegal, EqualsTheDefinitionOverAllValues) {
  const Mesh mesh = MeshOf(2, 2, 2);
  std::size_t legal = 0;
  for (unsigned e = 0; e < 8; ++e) {
    for (unsigned f = 0; f < 8; ++f) {
      for (unsigned b = 0; b < 8; ++b) {
        for (unsigned h = 0; h < 8; ++h) {
          for (unsigned g = 0; g < 8; ++g) {
            Layout layout;
            layout.weights_embed = AxisSet::FromBits(e);
            layout.weights_ffn = AxisSet::FromBits(f);
            layout.attention_batch = AxisSet::FromBits(b);
            layout.attention_heads = AxisSet::FromBits(h);
            layout.gathered = AxisSet::FromBits(g);
            const bool expected =
                (e ^ f) == 7 && (e & f) == 0 && (b ^ h) == 7 && (b & h) == 0 && (g & ~b) == 0;
            EXPECT_EQ(!WhyIllegal(layout, mesh), expected) << ToString(layout, mesh);
            legal += expected ? 1 : 0;
          }
        }
      }
    }
  }
  EXPECT_EQ(legal, 216U);  // 6^3
}

// `x` is both factors; a text names them only where they differ.
TEST(Layout, FactorsOfAnAxis) {
  const Mesh mesh = MeshOf(4, 4, 8);
  const auto normal = [&](const char* text) { return ToString(ParseLayout(text, mesh), mesh); };
  EXPECT_EQ(normal("Fz2x.Ez1y/ws/Bxyz"), "Eyz1.Fxz2/ws/Bxyz");
  EXPECT_EQ(normal("Ex2x1.Fyz/wg-x2x1/Bx1yx2z"), "Ex.Fyz/wg-x/Bxyz");
  EXPECT_EQ(normal("Ex.Fyz/ws/By2z.Hxy1"), "Ex.Fyz/ws/By2z.Hxy1");
  EXPECT_EQ(normal("Fxyz/ws/Bxyz/Exz1"), "Fxyz/ws/Bxyz/Exz1");
  const Layout layout = ParseLayout("Ez1.Fxyz2/wg-z1/Bxz1.Hyz2", mesh);
  EXPECT_EQ(mesh.Size(layout.weights_embed), 4);
  EXPECT_EQ(mesh.Size(layout.weights_ffn), 32);
  EXPECT_EQ(mesh.Size(layout.attention_heads), 8);
  EXPECT_EQ(SplitAxes(layout, mesh), mesh.Physical(2));
  EXPECT_TRUE(IsBeyondPaper(layout, mesh));
  EXPECT_TRUE(SplitAxes(ParseLayout("Ex.Fyz/wg-x/Bx.Hyz", mesh), mesh).empty());
  EXPECT_TRUE(LayoutFilter("*/wg-z1/*", mesh).beyond_paper());
  EXPECT_FALSE(LayoutFilter("*/wg-z/*", mesh).beyond_paper());
  EXPECT_EQ(Describe(layout, mesh), "weight-gathered over z1, attention over batch and heads");
}

TEST(Layout, OnlyEvenLengthsFromFourHaveFactors) {
  const Mesh mesh = MeshOf(1, 2, 4);
  const auto error = [&](const char* text) {
    return ErrorOf([&] { static_cast<void>(ParseLayout(text, mesh)); });
  };
  EXPECT_EQ(error("Ey1.Fy2z/ws/Byz"),
            "layout 'Ey1.Fy2z/ws/Byz': in 'Ey1.Fy2z' y1 is a factor of y, which is 2 long in "
            "1x2x4; only an even length of 4 or more has factors");
  EXPECT_EQ(error("Ex1.Fyz/ws/Byz"),
            "layout 'Ex1.Fyz/ws/Byz': in 'Ex1.Fyz' x1 is a factor of x, which is 1 long in 1x2x4; "
            "only an even length of 4 or more has factors");
}

TEST(Describe, InWords) {
  const Mesh mesh = MeshOf(4, 4, 4);
  const auto words = [&](const char* text) { return Describe(ParseLayout(text, mesh), mesh); };
  EXPECT_EQ(words("Ex.Fyz/ws/Bxyz"), "2D weight-stationary, attention over batch");
  EXPECT_EQ(words("Fxyz/ws/Hxyz"), "1D weight-stationary, attention over heads");
  EXPECT_EQ(words("Exyz/ws/Hxyz"), "1D weight-stationary, attention over heads");
  EXPECT_EQ(words("Ex.Fyz/wg-xy/Bxy.Hz"),
            "weight-gathered over xy, attention over batch and heads");
  EXPECT_EQ(words("Fxyz/ws/Bxyz/Ex"),
            "1D weight-stationary, attention over batch, residual over x");
  EXPECT_EQ(words("Fxyz/ws/Bxyz/E"),
            "1D weight-stationary, attention over batch, residual over no axis");
}

// A filter's matches, counted over all layouts and all fourth parts.
TEST(LayoutFilter, MatchesWholeParts) {
  const Mesh mesh = MeshOf(4, 4, 4);
  const auto count = [&](const char* text) {
    const LayoutFilter filter(text, mesh);
    const std::vector<Layout> layouts = EveryLayout(mesh);
    return std::count_if(layouts.begin(), layouts.end(),
                         [&](const Layout& layout) { return filter.Matches(layout); });
  };
  EXPECT_EQ(count("*/*/*"), 729);
  EXPECT_EQ(count("*/ws/*"), 343);     // E or F times B, H or S, or R
  EXPECT_EQ(count("Ex.Fyz/*/*"), 64);  // gathered, B, H or S
  EXPECT_EQ(count("*/*/Bxyz"), 125);   // E or F, gathered or not, or R
  EXPECT_EQ(count("*/*/Hxyz"), 8);     // E or F
  EXPECT_EQ(count("*/wg-xyz/*"), 8);   // implies Bxyz
  EXPECT_EQ(count("*/wg-x/Hxyz"), 0);
  EXPECT_EQ(count("Fzyx/*/Bzyx"), 8);  // normalised: gathered or not, per axis
  EXPECT_EQ(count("Ex.Fyz/ws/Bxyz"), 1);
  EXPECT_EQ(count("*/*/*/*"), 1728);
  EXPECT_EQ(count("Fxyz/ws/*/Ex"), 27);      // B, H or S, per axis
  EXPECT_EQ(count("Fxyz/ws/Bxyz/*"), 8);     // any of the 7 narrower residuals, or none
  EXPECT_EQ(count("Fxyz/ws/Bxyz/Exyz"), 1);  // says what holds anyway
}

TEST(LayoutFilter, SaysWhatItAsksFor) {
  const Mesh mesh = MeshOf(4, 4, 4);
  EXPECT_TRUE(LayoutFilter("Ex.Fyz/ws/Bxyz", mesh).exact());
  EXPECT_TRUE(LayoutFilter("Fxyz/ws/Bxyz/Ex", mesh).exact());
  EXPECT_FALSE(LayoutFilter("Ex.Fyz/*/Bxyz", mesh).exact());
  EXPECT_FALSE(LayoutFilter("Fxyz/ws/Bxyz/*", mesh).exact());
  EXPECT_FALSE(LayoutFilter("*/ws/*", mesh).wants_residual());
  EXPECT_TRUE(LayoutFilter("*/ws/*/Ex", mesh).wants_residual());
  EXPECT_TRUE(LayoutFilter("*/ws/*/*", mesh).wants_residual());
}

TEST(LayoutFilter, Errors) {
  const Mesh mesh = MeshOf(4, 4, 4);
  const auto error = [&](const char* text) {
    return ErrorOf([&] { static_cast<void>(LayoutFilter(text, mesh)); });
  };
  EXPECT_EQ(error("*"), "layout '*': expected <weights>/<ffn>/<attention>, such as Ex.Fyz/ws/Bxyz");
  EXPECT_EQ(error("Ex.Fy/*/Bxyz"),
            "layout 'Ex.Fy/*/Bxyz': every axis of 4x4x4 (xyz) must appear in each part that is not "
            "'*'");
  EXPECT_EQ(
      error("*/wg-q/*"),
      "layout '*/wg-q/*': in 'wg-q' 'q' is not an axis; the axes are x, y, z, and their factors "
      "x1, x2 and so on");
  // A filter that names one layout explains why there is none.
  EXPECT_EQ(error("Ex.Fyz/wg-x/Hxyz"),
            "layout 'Ex.Fyz/wg-x/Hxyz': weights are gathered over x, so the batch is sharded over "
            "it and attention must be too (Bx in the attention part)");
}

// A filter of one layout matches that layout and no other.
TEST(LayoutFilter, TheTextOfALayoutMatchesItAlone) {
  const Mesh mesh = MeshOf(2, 4, 4);
  const std::vector<Layout> layouts = EveryLayout(mesh);
  for (const Layout& layout : layouts) {
    const LayoutFilter filter(ToString(layout, mesh), mesh);
    for (const Layout& other : layouts) {
      ASSERT_EQ(filter.Matches(other), other == layout)
          << ToString(layout, mesh) << " and " << ToString(other, mesh);
    }
  }
}

}  // namespace
}  // namespace slicewise
