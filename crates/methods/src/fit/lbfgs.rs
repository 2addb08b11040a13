//! Minimising a smooth function of many variables: L-BFGS (Liu and Nocedal 1989, "On the limited memory
//! BFGS method for large scale optimization"; Nocedal and Wright, *Numerical Optimization*, algorithms 7.4
//! and 7.5), in `f64`.

use std::collections::VecDeque;

/// Pairs of steps and changes of the gradient from which the inverse Hessian is estimated.
const MEMORY: usize = 10;

/// Evaluations of a line search. Each of them doubles or halves the step.
const TRIALS: usize = 60;

/// When a minimisation ends.
pub(crate) struct Limits<'a> {
    /// The largest absolute entry of the gradient at a minimum.
    pub(crate) tolerance: f64,
    pub(crate) iterations: usize,
    /// Asked once per iteration.
    pub(crate) stop: &'a dyn Fn() -> bool,
}

/// Where a minimisation ended.
#[derive(Debug, Clone)]
pub(crate) struct Minimum {
    pub(crate) x: Vec<f64>,
    pub(crate) iterations: usize,
    /// The largest absolute entry of the gradient at `x`: within the tolerance, unless the iterations or
    /// the precision of `f64` were at an end before.
    pub(crate) gradient: f64,
}

/// Minimises `function`, which returns its value and writes its gradient; `None` if it was stopped.
pub(crate) fn minimize(
    start: Vec<f64>,
    limits: &Limits<'_>,
    mut function: impl FnMut(&[f64], &mut [f64]) -> f64,
) -> Option<Minimum> {
    let mut gradient = vec![0.0; start.len()];
    let value = function(&start, &mut gradient);
    let mut at = Point {
        x: start,
        value,
        gradient,
    };
    let mut history = History::default();
    let mut iterations = 0;
    while largest(&at.gradient) > limits.tolerance && iterations < limits.iterations {
        if (limits.stop)() {
            return None;
        }
        let direction = history.direction(&at.gradient);
        // Without a history, the direction has the length of the gradient, which says nothing about the
        // function's own scale.
        let first = if history.pairs.is_empty() {
            (1.0 / norm(&at.gradient)).min(1.0)
        } else {
            1.0
        };
        match search(&at, &direction, first, &mut function) {
            Some(next) => {
                history.add(&at, &next);
                at = next;
                iterations += 1;
            }
            // The estimate may be bad; without it, the direction is that of the steepest descent.
            None if !history.pairs.is_empty() => history = History::default(),
            // The value does not fall by more than it is rounded.
            None => break,
        }
    }
    Some(Minimum {
        gradient: largest(&at.gradient),
        x: at.x,
        iterations,
    })
}

struct Point {
    x: Vec<f64>,
    value: f64,
    gradient: Vec<f64>,
}

/// Steps `s` and changes `y` of the gradient, the newest last, with `1 / yᵀs`.
#[derive(Default)]
struct History {
    pairs: VecDeque<(Vec<f64>, Vec<f64>, f64)>,
}

impl History {
    fn add(&mut self, from: &Point, to: &Point) {
        let step = difference(&to.x, &from.x);
        let change = difference(&to.gradient, &from.gradient);
        let product = dot(&step, &change);
        // The line search sees to it that the product is positive, but for rounding.
        if product <= f64::EPSILON * dot(&change, &change) {
            return;
        }
        if self.pairs.len() == MEMORY {
            self.pairs.pop_front();
        }
        self.pairs.push_back((step, change, 1.0 / product));
    }

    /// `-H·g` for the estimate `H` of the inverse Hessian (algorithm 7.4).
    fn direction(&self, gradient: &[f64]) -> Vec<f64> {
        let mut direction: Vec<f64> = gradient.iter().map(|value| -value).collect();
        let mut coefficients = Vec::with_capacity(self.pairs.len());
        for (step, change, inverse) in self.pairs.iter().rev() {
            let coefficient = inverse * dot(step, &direction);
            add(&mut direction, -coefficient, change);
            coefficients.push(coefficient);
        }
        if let Some((_, change, inverse)) = self.pairs.back() {
            // Equation 7.20.
            let scale = 1.0 / (inverse * dot(change, change));
            for value in &mut direction {
                *value *= scale;
            }
        }
        let oldest_first = coefficients.into_iter().rev();
        for ((step, change, inverse), coefficient) in self.pairs.iter().zip(oldest_first) {
            let other = inverse * dot(change, &direction);
            add(&mut direction, coefficient - other, step);
        }
        direction
    }
}

/// A point along a direction that satisfies the Wolfe conditions (Nocedal and Wright, equations 3.6):
/// the interval that holds one is doubled until it does, and then halved (Lewis and Overton 2013,
/// "Nonsmooth optimization via quasi-Newton methods", algorithm 2.6). `None` if no such point is found.
fn search(
    from: &Point,
    direction: &[f64],
    first: f64,
    function: &mut impl FnMut(&[f64], &mut [f64]) -> f64,
) -> Option<Point> {
    const DECREASE: f64 = 1e-4;
    const CURVATURE: f64 = 0.9;
    /// Values of the function that differ by no more, relative to their size, differ by rounding.
    const ROUNDING: f64 = 1e-13;
    let slope = dot(&from.gradient, direction);
    if slope.is_nan() || slope >= 0.0 {
        return None;
    }
    let (mut low, mut high) = (0.0, f64::INFINITY);
    let mut step = first;
    let mut gradient = vec![0.0; direction.len()];
    for _ in 0..TRIALS {
        let mut x = from.x.clone();
        add(&mut x, step, direction);
        let value = function(&x, &mut gradient);
        let along = dot(&gradient, direction);
        let falls = value <= from.value + DECREASE * step * slope;
        // Near the minimum, rounding hides how the value falls; the slope shows it (Hager and Zhang 2005,
        // "A new conjugate gradient method", equation 4.1).
        let falls_by_slope = value <= from.value + ROUNDING * from.value.abs()
            && along <= (2.0 * DECREASE - 1.0) * slope;
        if !(falls || falls_by_slope) {
            high = step;
        } else if along < CURVATURE * slope {
            low = step;
        } else {
            return Some(Point { x, value, gradient });
        }
        step = if high.is_finite() {
            f64::midpoint(low, high)
        } else {
            2.0 * low
        };
    }
    None
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(values: &[f64]) -> f64 {
    dot(values, values).sqrt()
}

/// Adds `factor · b` to `a`.
fn add(a: &mut [f64], factor: f64, b: &[f64]) {
    for (a, b) in a.iter_mut().zip(b) {
        *a += factor * b;
    }
}

fn difference(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

/// The largest absolute value; NaN counts as infinite.
fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |most, value| {
        let size = value.abs();
        if size.is_nan() {
            f64::INFINITY
        } else {
            size.max(most)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: fn() -> bool = || false;

    fn limits(tolerance: f64) -> Limits<'static> {
        Limits {
            tolerance,
            iterations: 10_000,
            stop: &NEVER,
        }
    }

    /// `½ xᵀAx - bᵀx` for `A = H·D·H`, where `H = I - 2vvᵀ` mirrors and `D` is diagonal: its minimum is
    /// `H·D⁻¹·H·b`.
    struct Quadratic {
        diagonal: Vec<f64>,
        mirror: Vec<f64>,
        b: Vec<f64>,
    }

    impl Quadratic {
        fn new(condition: f64) -> Self {
            let size = 40;
            let at = |i: usize| f64::from(u8::try_from(i).unwrap());
            let diagonal = (0..size).map(|i| condition.powf(at(i) / at(size - 1)));
            let mirror: Vec<f64> = (0..size).map(|i| (at(i) * 1.7).sin()).collect();
            let length = norm(&mirror);
            Self {
                diagonal: diagonal.collect(),
                mirror: mirror.into_iter().map(|value| value / length).collect(),
                b: (0..size).map(|i| (at(i) * 0.9).cos()).collect(),
            }
        }

        fn mirrored(&self, x: &[f64]) -> Vec<f64> {
            let mut mirrored = x.to_vec();
            add(&mut mirrored, -2.0 * dot(x, &self.mirror), &self.mirror);
            mirrored
        }

        fn between(&self, x: &[f64], change: impl Fn(f64, f64) -> f64) -> Vec<f64> {
            let inner = self.mirrored(x).into_iter().zip(&self.diagonal);
            let inner: Vec<f64> = inner.map(|(x, d)| change(x, *d)).collect();
            self.mirrored(&inner)
        }

        fn minimum(&self) -> Vec<f64> {
            self.between(&self.b, |x, d| x / d)
        }

        fn value(&self, x: &[f64], gradient: &mut [f64]) -> f64 {
            let product = self.between(x, |x, d| x * d);
            gradient.copy_from_slice(&difference(&product, &self.b));
            0.5 * dot(x, &product) - dot(&self.b, x)
        }
    }

    #[test]
    fn the_minimum_of_a_quadratic_function_is_found() {
        for condition in [1.0, 100.0, 1e6] {
            let function = Quadratic::new(condition);
            let start = vec![1.0; function.b.len()];
            let found = minimize(start, &limits(1e-9), |x, g| function.value(x, g)).unwrap();
            assert!(found.gradient <= 1e-9, "{condition} {found:?}");
            // The smallest eigenvalue is 1, so that x is as near as the gradient is small.
            let away = difference(&found.x, &function.minimum());
            assert!(norm(&away) <= 1e-8, "{condition} {}", norm(&away));
            // SciPy's L-BFGS-B takes 2 and 90 iterations with the same memory, and 4243 to where its line
            // search fails.
            let most = if condition > 100.0 { 10_000 } else { 150 };
            assert!(found.iterations < most, "{condition} {}", found.iterations);
        }
    }

    /// Rosenbrock 1960: a curved valley with the minimum at (1, 1).
    fn valley(x: &[f64], gradient: &mut [f64]) -> f64 {
        let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
        gradient[0] = -2.0 * a - 400.0 * x[0] * b;
        gradient[1] = 200.0 * b;
        a * a + 100.0 * b * b
    }

    #[test]
    fn the_minimum_of_a_curved_valley_is_found_and_the_value_falls_at_every_step() {
        let found = minimize(vec![-1.2, 1.0], &limits(1e-10), valley).unwrap();
        assert!(norm(&difference(&found.x, &[1.0, 1.0])) < 1e-9, "{found:?}");
        assert!(found.iterations < 60, "{}", found.iterations);
        let mut last = f64::INFINITY;
        for iterations in 0..found.iterations {
            let limits = Limits {
                iterations,
                ..limits(1e-10)
            };
            let on_the_way = minimize(vec![-1.2, 1.0], &limits, valley).unwrap();
            assert_eq!(on_the_way.iterations, iterations);
            let value = valley(&on_the_way.x, &mut [0.0; 2]);
            assert!(value < last, "{iterations}: {value} after {last}");
            last = value;
        }
    }

    #[test]
    fn it_ends_where_rounding_hides_the_descent() {
        // The tolerance cannot be met: the gradient is rounded to multiples of 1e-8.
        let found = minimize(vec![3.0], &limits(0.0), |x, g| {
            g[0] = 2.0 * (x[0] + 1e8) - 2e8 - 2.0;
            (x[0] - 1.0) * (x[0] - 1.0) + 1e8
        });
        assert!((found.unwrap().x[0] - 1.0).abs() < 1e-3);
    }

    #[test]
    fn it_stops_when_asked_to() {
        let stop = || true;
        let limits = Limits {
            stop: &stop,
            ..limits(1e-10)
        };
        assert!(minimize(vec![-1.2, 1.0], &limits, valley).is_none());
        // Nothing is left to be done at the minimum.
        assert_eq!(
            minimize(vec![1.0, 1.0], &limits, valley)
                .unwrap()
                .iterations,
            0
        );
    }
}
