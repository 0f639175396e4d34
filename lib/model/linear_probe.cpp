#include "lib/model/linear_probe.h"

#include "lib/core/error.h"
#include "lib/core/random.h"

#include <algorithm>
#include <cmath>
#include <lbfgs.h>
#include <limits>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <utility>

namespace strandwave {
namespace {

/// Rows of one part of the split, standardised, with a constant 1 behind them that carries the bias.
struct Part {
    std::vector<double> z; ///< [n, features + 1]
    std::vector<std::int32_t> labels;
    index_t size() const noexcept { return static_cast<index_t>(labels.size()); }
};

struct Split {
    std::vector<index_t> fitted;
    std::vector<index_t> held_out;
};

struct Standardisation {
    std::vector<double> mean;
    std::vector<double> scale; ///< 1 / standard deviation; 0 for a feature that never changes
};

/// The rows of one record, or a single one.
using Group = std::vector<index_t>;

std::vector<std::vector<Group>> groups_of_classes(std::span<std::int32_t const> labels, index_t classes,
                                                  std::span<index_t const> groups) {
    std::vector<std::vector<Group>> members(static_cast<std::size_t>(classes));
    std::map<std::pair<std::int32_t, index_t>, std::size_t> seen; // (class, group) -> its place in members
    for (std::size_t i = 0; i < labels.size(); ++i) {
        auto& own = members[static_cast<std::size_t>(labels[i])];
        auto const row = static_cast<index_t>(i);
        auto const [place, fresh] = seen.try_emplace({labels[i], groups.empty() ? row : groups[i]}, own.size());
        if (fresh) { own.emplace_back(); }
        own[place->second].push_back(row);
    }
    return members;
}

Split stratified_split(std::span<std::int32_t const> labels, index_t classes, LinearProbeOptions const& options) {
    Random random(options.seed);
    Split split;
    index_t number = 0;
    for (auto& members : groups_of_classes(labels, classes, options.groups)) {
        if (members.empty()) {
            throw Error(ErrorCode::invalid_argument, "class " + std::to_string(number) + " has no record to fit");
        }
        ++number;
        for (std::size_t i = members.size(); i > 1; --i) {
            std::swap(members[i - 1], members[random.below(i)]);
        }
        // Rounded, but at least one to fit, and one to hold out where there are two.
        auto const n = static_cast<index_t>(members.size());
        auto const wanted = static_cast<index_t>(std::lround(options.validation * static_cast<double>(n)));
        index_t const held = std::min(n - 1, std::max<index_t>(wanted, 1));
        for (index_t i = 0; i < n; ++i) {
            auto const& rows = members[static_cast<std::size_t>(i)];
            auto& part = i < held ? split.held_out : split.fitted;
            part.insert(part.end(), rows.begin(), rows.end());
        }
    }
    if (split.held_out.empty()) {
        throw Error(ErrorCode::invalid_argument, "no class has two records: nothing can be held out");
    }
    std::sort(split.fitted.begin(), split.fitted.end());
    std::sort(split.held_out.begin(), split.held_out.end());
    return split;
}

Standardisation standardise(View<float const, 2> features, std::span<index_t const> rows) {
    auto const width = static_cast<std::size_t>(features.cols);
    auto const n = static_cast<double>(rows.size());
    Standardisation result{std::vector<double>(width, 0.0), std::vector<double>(width, 0.0)};
    for (index_t const row : rows) {
        for (std::size_t k = 0; k < width; ++k) {
            result.mean[k] += static_cast<double>(features.row(row)[k]) / n;
        }
    }
    std::vector<double> variance(width, 0.0);
    for (index_t const row : rows) {
        for (std::size_t k = 0; k < width; ++k) {
            double const d = static_cast<double>(features.row(row)[k]) - result.mean[k];
            variance[k] += d * d / n;
        }
    }
    for (std::size_t k = 0; k < width; ++k) {
        // Below the resolution of fp32 features a spread is rounding, not signal.
        double const deviation = std::sqrt(variance[k]);
        double const rounding = std::abs(result.mean[k]) * static_cast<double>(std::numeric_limits<float>::epsilon());
        result.scale[k] = deviation > rounding ? 1.0 / deviation : 0.0;
    }
    return result;
}

Part make_part(View<float const, 2> features, std::span<std::int32_t const> labels, std::span<index_t const> rows,
               Standardisation const& by) {
    Part part;
    part.z.reserve(rows.size() * static_cast<std::size_t>(features.cols + 1));
    for (index_t const row : rows) {
        for (index_t k = 0; k < features.cols; ++k) {
            auto const i = static_cast<std::size_t>(k);
            part.z.push_back((static_cast<double>(features(row, k)) - by.mean[i]) * by.scale[i]);
        }
        part.z.push_back(1.0);
        part.labels.push_back(labels[static_cast<std::size_t>(row)]);
    }
    return part;
}

/// The objective over weights `[classes, features + 1]`, the last column being the bias.
class Problem {
public:
    Problem(Part const& fitted, Part const& held_out, index_t classes, index_t features)
        : fitted_(fitted), held_out_(held_out), classes_(classes), width_(features + 1),
          p_(static_cast<std::size_t>(classes)) {}

    index_t size() const noexcept { return classes_ * width_; }

    /// Mean cross entropy on the fitted part plus the penalty, and its gradient.
    double objective(double const* w, double* gradient, double lambda) {
        std::fill_n(gradient, size(), 0.0);
        double loss = 0;
        double const share = 1.0 / static_cast<double>(fitted_.size());
        for (index_t i = 0; i < fitted_.size(); ++i) {
            double const* z = fitted_.z.data() + i * width_;
            auto const label = fitted_.labels[static_cast<std::size_t>(i)];
            loss += share * probabilities(w, z, label);
            for (index_t c = 0; c < classes_; ++c) {
                double const slope = share * (p_[static_cast<std::size_t>(c)] - (c == label ? 1.0 : 0.0));
                for (index_t k = 0; k < width_; ++k) {
                    gradient[c * width_ + k] += slope * z[k];
                }
            }
        }
        for (index_t c = 0; c < classes_; ++c) {
            for (index_t k = 0; k + 1 < width_; ++k) { // the bias is not punished
                double const weight = w[c * width_ + k];
                loss += 0.5 * lambda * weight * weight;
                gradient[c * width_ + k] += lambda * weight;
            }
        }
        return loss;
    }

    double held_out_loss(double const* w) {
        double loss = 0;
        for (index_t i = 0; i < held_out_.size(); ++i) {
            loss += probabilities(w, held_out_.z.data() + i * width_, held_out_.labels[static_cast<std::size_t>(i)]);
        }
        return loss / static_cast<double>(held_out_.size());
    }

private:
    /// Fills p_ with the softmax of the logits; returns -log p_[label].
    double probabilities(double const* w, double const* z, std::int32_t label) {
        for (index_t c = 0; c < classes_; ++c) {
            double sum = 0;
            for (index_t k = 0; k < width_; ++k) {
                sum += w[c * width_ + k] * z[k];
            }
            p_[static_cast<std::size_t>(c)] = sum;
        }
        double const largest = *std::max_element(p_.begin(), p_.end());
        double const own = p_[static_cast<std::size_t>(label)] - largest;
        double total = 0;
        for (double& value : p_) {
            value = std::exp(value - largest);
            total += value;
        }
        for (double& value : p_) {
            value /= total;
        }
        return std::log(total) - own;
    }

    Part const& fitted_;
    Part const& held_out_;
    index_t classes_;
    index_t width_;
    std::vector<double> p_;
};

/// Keeps the best weights that a fit passes on its way.
struct EarlyStop {
    Problem& problem;
    double lambda = 0;
    int patience = 0;
    int since_best = 0;
    double best_loss = std::numeric_limits<double>::infinity(); ///< over all lambdas
    double loss_of_fit = std::numeric_limits<double>::infinity();
    double best_lambda = 0;
    std::vector<double> best{};

    int look(double const* w) {
        double const loss = problem.held_out_loss(w);
        if (loss < best_loss) {
            best_loss = loss;
            best_lambda = lambda;
            best.assign(w, w + problem.size());
        }
        since_best = loss < loss_of_fit ? 0 : since_best + 1;
        loss_of_fit = std::min(loss, loss_of_fit);
        return since_best >= patience ? 1 : 0; // not 0 ends the fit
    }
};

double evaluate(void* instance, double const* w, double* gradient, int, double) {
    auto const& stop = *static_cast<EarlyStop*>(instance);
    return stop.problem.objective(w, gradient, stop.lambda);
}

int progress(void* instance, double const* w, double const*, double, double, double, double, int, int, int) {
    return static_cast<EarlyStop*>(instance)->look(w);
}

/// Fits from strong to weak penalties, each from where the last one ended.
void minimise(EarlyStop& stop, LinearProbeOptions const& options) {
    auto const free = [](lbfgsfloatval_t* pointer) { lbfgs_free(pointer); };
    auto const n = static_cast<int>(stop.problem.size());
    std::unique_ptr<lbfgsfloatval_t, decltype(free)> const w(lbfgs_malloc(n), free);
    if (!w) { throw std::bad_alloc(); }
    std::fill_n(w.get(), n, 0.0);
    stop.look(w.get());
    lbfgs_parameter_t parameters;
    lbfgs_parameter_init(&parameters);
    parameters.max_iterations = options.max_iterations;
    for (double const lambda : {1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5}) {
        stop.lambda = lambda;
        stop.since_best = 0;
        stop.loss_of_fit = std::numeric_limits<double>::infinity();
        // Every way to end is fine here, also a line search at the limit of precision: the best weights are kept.
        lbfgs(n, w.get(), nullptr, evaluate, progress, &stop, &parameters);
    }
}

void check(View<float const, 2> features, std::span<std::int32_t const> labels, index_t classes,
           LinearProbeOptions const& options) {
    if (features.rows != static_cast<index_t>(labels.size())) {
        throw Error(ErrorCode::shape_mismatch,
                    std::to_string(features.rows) + " feature rows, but " + std::to_string(labels.size()) + " labels");
    }
    if (!options.groups.empty() && options.groups.size() != labels.size()) {
        throw Error(ErrorCode::shape_mismatch, std::to_string(labels.size()) + " labels, but " +
                                                   std::to_string(options.groups.size()) + " group numbers");
    }
    if (classes < 2) { throw Error(ErrorCode::invalid_argument, "a probe needs at least two classes"); }
    if (!(options.validation > 0 && options.validation < 1)) {
        throw Error(ErrorCode::invalid_argument, "the held-out share must lie between 0 and 1");
    }
    if (classes > std::numeric_limits<int>::max() / (features.cols + 1)) {
        throw Error(ErrorCode::too_large, "too many classes for a linear probe");
    }
    for (auto const label : labels) {
        if (label < 0 || label >= classes) {
            throw Error(ErrorCode::invalid_argument, "label " + std::to_string(label) + " is not one of the " +
                                                         std::to_string(classes) + " classes");
        }
    }
    for (index_t i = 0; i < features.rows; ++i) {
        if (!std::all_of(features.row(i), features.row(i) + features.cols, [](float v) { return std::isfinite(v); })) {
            throw Error(ErrorCode::invalid_argument, "the features of record " + std::to_string(i) + " are not finite");
        }
    }
}

/// Back to features as they come: W x + b = sum_k w_k (x_k - mean_k) scale_k + bias.
void fold(std::vector<double> const& w, Standardisation const& by, index_t classes, LinearProbe& probe) {
    std::size_t const width = by.mean.size() + 1;
    for (index_t c = 0; c < classes; ++c) {
        double const* row = w.data() + static_cast<std::size_t>(c) * width;
        double bias = row[width - 1];
        for (std::size_t k = 0; k + 1 < width; ++k) {
            double const weight = row[k] * by.scale[k];
            probe.weight.push_back(static_cast<float>(weight));
            bias -= weight * by.mean[k];
        }
        probe.bias.push_back(static_cast<float>(bias));
    }
}

index_t predict(LinearProbe const& probe, float const* x, index_t features, index_t classes) {
    index_t best = 0;
    double best_logit = -std::numeric_limits<double>::infinity();
    for (index_t c = 0; c < classes; ++c) {
        double logit = static_cast<double>(probe.bias[static_cast<std::size_t>(c)]);
        for (index_t k = 0; k < features; ++k) {
            logit += static_cast<double>(probe.weight[static_cast<std::size_t>(c * features + k)]) *
                     static_cast<double>(x[k]);
        }
        if (logit > best_logit) {
            best_logit = logit;
            best = c;
        }
    }
    return best;
}

} // namespace

LinearProbe fit_linear_probe(View<float const, 2> features, std::span<std::int32_t const> labels, index_t classes,
                             LinearProbeOptions const& options) {
    check(features, labels, classes, options);
    Split split = stratified_split(labels, classes, options);
    Standardisation const by = standardise(features, split.fitted);
    Part const fitted = make_part(features, labels, split.fitted, by);
    Part const held_out = make_part(features, labels, split.held_out, by);

    Problem problem(fitted, held_out, classes, features.cols);
    EarlyStop stop{problem};
    stop.patience = options.patience;
    minimise(stop, options);

    LinearProbe probe;
    probe.lambda = stop.best_lambda;
    fold(stop.best, by, classes, probe);
    probe.confusion.assign(static_cast<std::size_t>(classes * classes), 0);
    for (index_t const row : split.fitted) {
        index_t const answer = predict(probe, features.row(row), features.cols, classes);
        probe.fitted_correct += answer == labels[static_cast<std::size_t>(row)] ? 1 : 0;
    }
    for (index_t const row : split.held_out) {
        index_t const truth = labels[static_cast<std::size_t>(row)];
        index_t const answer = predict(probe, features.row(row), features.cols, classes);
        ++probe.confusion[static_cast<std::size_t>(truth * classes + answer)];
        probe.validation_correct += answer == truth ? 1 : 0;
    }
    probe.fitted_rows = std::move(split.fitted);
    probe.validation_rows = std::move(split.held_out);
    return probe;
}

} // namespace strandwave
