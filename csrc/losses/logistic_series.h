// SPDX-License-Identifier: BSD-3-Clause
//
// The functions of the logistic loss as sums of exponentials. With u = exp(-x), x >= 0,
//
//   f(u) = sum_k f(k) u^(k+1),  k = 0 .. K-1
//
// to the largest relative error stated with each. Written by build_tools/fit_logistic.py, which
// says how; tests/ranking/test_logistic_series.py measures the errors.
#pragma once

#include "common/platform.h"

namespace fused_rankloss {

// For scores of fp32.
struct NarrowSeries {
  static constexpr int kTerms = 12;

  // ln(1 + u), largest relative error 1.2e-10
  FRL_HD static double softplus(int k) {
    constexpr double coefficients[kTerms] = {
        0.999999999882087,   -0.49999996500725374,  0.3333316022652261,   -0.24996613132921586,
        0.1996530150980197,  -0.1645286864320511,   0.13426531119958204,  -0.10124353868525324,
        0.06400769341401798, -0.030172483202480716, 0.009080968322081856, -0.0012806050465458136,
    };
    return coefficients[k];
  }

  // u / (1 + u), largest relative error 1.4e-9
  FRL_HD static double sigmoid(int k) {
    constexpr double coefficients[kTerms] = {
        0.9999999986985918, -0.9999996238930227,  0.9999817581608944,  -0.9996482644945015,
        0.9964324327114262, -0.9781379230121537,  0.9121668122784133,  -0.7555760439433814,
        0.5076406607462475, -0.24836182864466944, 0.07641902419835983, -0.010917003456908547,
    };
    return coefficients[k];
  }

  // u / (1 + u)^2, largest relative error 1.7e-8
  FRL_HD static double curvature(int k) {
    constexpr double coefficients[kTerms] = {
        0.9999999835898855, -1.9999955307939414, 2.9997930344584316, -3.9961509723027686,
        4.962023596419194,  -5.771820194211379,  6.093682902661001,  -5.482057173664637,
        3.871441937267278,  -1.9470750280180082, 0.607421560622232,  -0.08726412012981649,
    };
    return coefficients[k];
  }
};

// For scores of fp64.
struct WideSeries {
  static constexpr int kTerms = 22;

  // ln(1 + u), largest relative error 1.6e-18
  FRL_HD static double softplus(int k) {
    constexpr double coefficients[kTerms] = {
        1.0,
        -0.49999999999999856,
        0.3333333333330922,
        -0.2499999999842275,
        0.1999999994515072,
        -0.1666666549316105,
        0.14285697423748378,
        -0.12499827577143655,
        0.11109804321968515,
        -0.09992437462410488,
        0.09056730725706881,
        -0.08210570305435885,
        0.07336855545482229,
        -0.06302984189553348,
        0.050280869806250905,
        -0.035758289344568026,
        0.021708254824383235,
        -0.010744072547859198,
        0.004109919587477829,
        -0.0011299547894734275,
        0.00019750890384910357,
        -1.6418572504212837e-05,
    };
    return coefficients[k];
  }

  // u / (1 + u), largest relative error 3.0e-17
  FRL_HD static double sigmoid(int k) {
    constexpr double coefficients[kTerms] = {
        1.0,
        -0.9999999999999721,
        0.9999999999954888,
        -0.9999999997085555,
        0.9999999899733163,
        -0.9999997874803432,
        0.9999969709871713,
        -0.9999692393620948,
        0.99976818508029,
        -0.9986643576507731,
        0.9939818055024016,
        -0.9784138399182051,
        0.9374633217510798,
        -0.8517822375860176,
        0.7089804306442473,
        -0.5198911414523859,
        0.3224148273366919,
        -0.161899320675807,
        0.06253257845716394,
        -0.01730162894085416,
        0.0030364833241718456,
        -0.00025304027701432045,
    };
    return coefficients[k];
  }

  // u / (1 + u)^2, largest relative error 6.7e-16
  FRL_HD static double curvature(int k) {
    constexpr double coefficients[kTerms] = {
        0.9999999999999993,  -1.9999999999993991,   2.99999999990571,   -3.999999994072877,
        4.999999800991207,   -5.999995872365776,    6.999942291544137,  -7.999423839316391,
        8.995722087127886,   -9.975663951603233,    10.89149254842243,  -11.613937723474853,
        11.887438037141742,  -11.368040906843158,   9.819534150682067,  -7.384373269967435,
        4.653870577341564,   -2.3594298764441914,   0.9159422473489741, -0.2539302902478296,
        0.04456204505622955, -0.003708061226804532,
    };
    return coefficients[k];
  }
};

// For arithmetic in fp32, without what rounding the coefficients adds.
struct FloatSeries {
  static constexpr int kGrowthTerms = 6;

  // (2^f - 1) / f for |f| <= 1/2, largest relative error 1.1e-8
  FRL_HD static float exp2_growth(int k) {
    constexpr float coefficients[kGrowthTerms] = {
        0.693147182f, 0.240226492f, 0.0555035733f, 0.00961823761f, 0.00133907294f, 0.000154035224f,
    };
    return coefficients[k];
  }
  static constexpr int kExcessTerms = 10;

  // (u - ln(1 + u)) / u^2 for 0 <= u <= 1, largest relative error 9.3e-9
  FRL_HD static float softplus_excess(int k) {
    constexpr float coefficients[kExcessTerms] = {
        0.5f,          -0.333332419f, 0.249968916f,   -0.199580148f, 0.163716808f,
        -0.130517766f, 0.0917003527f, -0.0496076345f, 0.0173406582f, -0.00283594243f,
    };
    return coefficients[k];
  }
};

}  // namespace fused_rankloss
