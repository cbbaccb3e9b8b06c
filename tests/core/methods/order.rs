//! Order conditions, and the orders that steps and dense output show.

use super::*;

/// A rooted tree as the list of its subtrees.
#[derive(Clone, Debug)]
struct Tree(Vec<Tree>);

impl Tree {
    fn order(&self) -> usize {
        1 + self.0.iter().map(Tree::order).sum::<usize>()
    }

    fn density(&self) -> f64 {
        self.order() as f64 * self.0.iter().map(Tree::density).product::<f64>()
    }

    /// The elementary weights `Phi_i` of the tableau.
    fn weights<const S: usize>(&self, tableau: &ButcherTableau<S>) -> [f64; S] {
        let children: Vec<[f64; S]> = self.0.iter().map(|tree| tree.weights(tableau)).collect();
        core::array::from_fn(|i| {
            let through =
                |child: &[f64; S]| -> f64 { (0..S).map(|j| tableau.a[i][j] * child[j]).sum() };
            children.iter().map(through).product()
        })
    }

    /// All trees of orders 1 to `largest`, order by order.
    fn up_to(largest: usize) -> Vec<Vec<Tree>> {
        /// Forests of `nodes` nodes whose trees come no later than `limit` in the order of enumeration.
        fn forests(nodes: usize, limit: usize, all: &[Tree]) -> Vec<Vec<Tree>> {
            if nodes == 0 {
                return vec![Vec::new()];
            }
            let mut out = Vec::new();
            for (index, tree) in all.iter().enumerate().take(limit) {
                if tree.order() <= nodes {
                    for mut rest in forests(nodes - tree.order(), index + 1, all) {
                        rest.push(tree.clone());
                        out.push(rest);
                    }
                }
            }
            out
        }
        let mut smaller: Vec<Tree> = Vec::new();
        let mut orders = Vec::new();
        for order in 1..=largest {
            let trees: Vec<Tree> = forests(order - 1, smaller.len(), &smaller)
                .into_iter()
                .map(Tree)
                .collect();
            smaller.extend(trees.iter().cloned());
            orders.push(trees);
        }
        orders
    }
}

/// The largest violation of the order conditions of each order by some weights, at the point `theta` of a step:
/// `sum_i weights_i Phi_i(tree) = scale theta^order / density`.
fn residuals<const S: usize>(
    orders: &[Vec<Tree>],
    tableau: &ButcherTableau<S>,
    weights: &[f64; S],
    (theta, scale): (f64, f64),
) -> Vec<f64> {
    let of_tree = |tree: &Tree| {
        let phi = tree.weights(tableau);
        let sum: f64 = weights.iter().zip(phi).map(|(b, phi)| b * phi).sum();
        (sum - scale * theta.powi(tree.order() as i32) / tree.density()).abs()
    };
    orders
        .iter()
        .map(|trees| trees.iter().map(of_tree).fold(0.0, f64::max))
        .collect()
}

/// That conditions hold to rounding up to `order`, and that those of the next order do not.
fn assert_order(what: &str, residuals: &[f64], order: usize) {
    let (satisfied, next) = residuals.split_at(order);
    for (index, residual) in satisfied.iter().enumerate() {
        assert!(
            *residual < 2e-14,
            "{what}, order {}: {residual:e}",
            index + 1
        );
    }
    assert!(next[0] > 1e-6, "{what} is of order {} as well", order + 1);
}

#[test]
fn rooted_trees_are_as_many_as_there_are() {
    let counts: Vec<usize> = Tree::up_to(9).iter().map(Vec::len).collect();
    assert_eq!(counts, [1, 1, 2, 4, 9, 20, 48, 115, 286]);
}

#[test]
fn every_method_satisfies_the_order_conditions_of_its_order_and_no_more() {
    struct Check<'o>(&'o [Vec<Tree>]);
    impl WithTableau for Check<'_> {
        type Output = ();
        fn run<const S: usize>(self, tableau: &'static ButcherTableau<S>) {
            let (name, order) = (tableau.name, tableau.order);
            let orders = &self.0[..=order];
            let of_solution = residuals(orders, tableau, &tableau.b, (1.0, 1.0));
            assert_order(name, &of_solution, order);
            assert_eq!(tableau.evaluations, S - 1, "{name}");
            if tableau.adaptive() {
                let of_error = residuals(orders, tableau, &tableau.b_err, (1.0, 0.0));
                let what = format!("the error estimate of {name}");
                assert_order(&what, &of_error, order - 1);
            }
            for theta in [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0] {
                let weights = tableau.dense_weights(theta);
                let inside = residuals(orders, tableau, &weights, (theta, 1.0));
                let what = format!("the interpolant of {name} at {theta}");
                if theta == 0.5 && tableau.dense_order < order {
                    assert_order(&what, &inside, tableau.dense_order);
                }
                for residual in &inside[..tableau.dense_order] {
                    assert!(*residual < 2e-14, "{what}: {residual:e}");
                }
            }
        }
    }
    let orders = Tree::up_to(9);
    for solver in Solver::ALL {
        solver.with_tableau(Check(&orders));
    }
}

#[test]
fn methods_tell_their_names_orders_and_whether_they_estimate_errors() {
    let told = Solver::ALL.map(|solver| (solver.name(), solver.order(), solver.adaptive()));
    assert_eq!(
        told,
        [
            ("Euler", 1, false),
            ("Midpoint", 2, true),
            ("Heun", 2, true),
            ("Ralston", 2, true),
            ("Bosh3", 3, true),
            ("Rk4", 4, false),
            ("Dopri5", 5, true),
            ("Tsit5", 5, true),
            ("Vern7", 7, true),
            ("Dopri8", 8, true),
        ]
    );
    for solver in Solver::ALL {
        assert_eq!(format!("{solver:?}"), solver.name());
    }
}

#[test]
fn methods_with_more_places_than_stages_are_the_same_methods() {
    /// What a tableau says, without its number of stages: the stages that the method has.
    #[derive(Debug, PartialEq)]
    struct Said {
        evaluations: usize,
        a: Vec<Vec<f64>>,
        weights: Vec<Vec<f64>>,
    }
    struct Say;
    impl WithTableau for Say {
        type Output = (usize, Said);
        fn run<const S: usize>(self, tableau: &'static ButcherTableau<S>) -> (usize, Said) {
            let stages = |weights: [f64; S]| -> Vec<f64> {
                (0..S)
                    .filter(|i| tableau.has_stage(*i))
                    .map(|i| weights[i])
                    .collect()
            };
            let a = (0..S).filter(|i| tableau.has_stage(*i));
            let said = Said {
                evaluations: tableau.evaluations,
                a: a.map(|i| stages(tableau.a[i])).collect(),
                weights: vec![
                    stages(tableau.c),
                    stages(tableau.b),
                    stages(tableau.b_err),
                    stages(tableau.dense_weights(0.3)),
                ],
            };
            (S, said)
        }
    }
    for solver in Solver::ALL {
        let (stages, plain) = solver.with_tableau(Say);
        let (places, padded) = solver.with_padded_tableau(Say);
        assert_eq!(plain, padded, "{solver:?}");
        assert_eq!(plain.evaluations + 1, stages, "{solver:?}");
        assert_eq!(places, if stages <= 7 { 7 } else { 14 }, "{solver:?}");
    }
}

#[test]
fn equal_steps_converge_with_the_order_of_every_method_on_a_nonlinear_field() {
    for solver in Solver::ALL {
        // The coarsest steps are where the leading term of the error takes over; the finest leave an error well
        // above rounding, for which high orders need a faster rotation.
        let (r, steps) = match solver.order() {
            1 => (1.2, 512),
            2 => (1.2, 64),
            3 | 4 => (1.2, 16),
            5 => (1.2, 24),
            7 => (2.0, 24),
            _ => (3.0, 60),
        };
        let ends = ([r, 0.0], rotated(r, 2.0));
        let points = errors_of_equal_steps(solver, rotation, ends, (2.0, steps));
        let (order, expected) = (slope(&points), solver.order() as f64);
        // The leading term of Dopri8 vanishes on circles; the next test bounds it from above.
        let highest = if solver == Solver::Dopri8 {
            10.0
        } else {
            expected + 0.25
        };
        assert!(
            order > expected - 0.25 && order < highest,
            "{solver:?}: {order} {points:?}"
        );
    }
}

#[test]
fn equal_steps_of_dopri8_converge_with_order_eight_on_a_linear_field() {
    /// A rotation whose speed depends on time.
    fn driven(t: f64, [x, y]: &[f64; 2]) -> [f64; 2] {
        let w = 1.0 + 0.5 * t.cos();
        [-w * y, w * x]
    }
    let end = 20.0_f64;
    let angle = end + 0.5 * end.sin();
    let ends = ([1.0, 0.0], [angle.cos(), angle.sin()]);
    let points = errors_of_equal_steps(Solver::Dopri8, driven, ends, (end, 20));
    let order = slope(&points);
    assert!((order - 8.0).abs() < 0.25, "{order} {points:?}");
}

#[test]
fn equal_steps_stay_equal_however_many_there_are() {
    // The sum of 40 000 steps is off by more than what counts as rounding beside one of them.
    let options = SolveOptions::new(0.0, 20.0, 1e-3, 1e-3)
        .with_solver(Solver::Euler)
        .with_controller(Controller::Constant { dt: 20.0 / 4e4 })
        .with_max_steps(50_000);
    let solution = run(|_, _| [1.0], [0.0], &options).unwrap();
    assert_eq!(solution.accepted, 40_000);
}

#[test]
fn dense_output_of_one_step_converges_with_its_order_in_every_method() {
    /// The largest error inside one step of size `h` from exact values.
    struct Inside(f64);
    impl WithTableau for Inside {
        type Output = (f64, f64, usize);
        fn run<const S: usize>(self, tableau: &'static ButcherTableau<S>) -> Self::Output {
            let (h, t, r) = (self.0, 0.9, 1.2);
            let mut field = FnField::new(rotation);
            let mut stepper = ExplicitRk::new(&mut field, tableau, t, rotated(r, t)).unwrap();
            let tolerances = Tolerances {
                rtol: 1e-3,
                atol: 1e-3,
            };
            stepper.attempt(h, &tolerances).unwrap();
            let mut worst: f64 = 0.0;
            for theta in [0.2, 0.4, 0.6, 0.8] {
                let mut y = [0.0; 2];
                stepper.interpolate(theta, &mut y).unwrap();
                worst = worst.max(distance(y, rotated(r, t + theta * h)));
            }
            (h, worst, tableau.dense_order)
        }
    }
    for solver in Solver::ALL {
        let mut points = Vec::new();
        let mut expected = 0.0;
        for h in [0.04, 0.02, 0.01, 0.005] {
            // Interpolants of order 5 reach rounding soon; the cubic of Rk4 reaches its leading term late.
            let h = match solver.order() {
                4 => h / 4.0,
                7 | 8 => h * 3.0,
                _ => h,
            };
            let (h, error, order) = solver.with_tableau(Inside(h));
            points.push((h, error));
            expected = (order + 1) as f64;
        }
        let order = slope(&points);
        assert!(
            (order - expected).abs() < 0.25,
            "{solver:?}: {order} {points:?}"
        );
    }
}

#[test]
fn dense_output_joins_steps_with_value_and_derivative_in_every_method() {
    struct Joins;
    impl WithTableau for Joins {
        type Output = ();
        fn run<const S: usize>(self, tableau: &'static ButcherTableau<S>) {
            let options = SolveOptions::new(0.0, 1.0, 1e-3, 1e-3)
                .with_controller(Controller::Constant { dt: 0.1 });
            let mut trajectory = Trajectory::new(tableau);
            let mut field = FnField::new(rotation);
            let end = record(&mut field, tableau, [1.2, 0.0], &options, &mut trajectory).unwrap();
            for (index, step) in trajectory.steps().iter().enumerate() {
                let next = trajectory
                    .steps()
                    .get(index + 1)
                    .map_or(end.y, |step| step.y);
                let at = |theta: f64| -> [f64; 2] {
                    let mut y = [0.0; 2];
                    let weights = tableau.dense_weights(theta);
                    for (n, y) in y.iter_mut().enumerate() {
                        let terms = weights.iter().zip(&step.stages);
                        *y = step.y[n] + step.h * terms.map(|(b, k)| b * k[n]).sum::<f64>();
                    }
                    y
                };
                assert!(distance(at(0.0), step.y) == 0.0, "{}", tableau.name);
                assert!(distance(at(1.0), next) < 1e-13, "{}", tableau.name);
                // One-sided differences of the derivatives at both ends, to their second order.
                let e = 1e-4;
                let slope = |a: [f64; 2], b: [f64; 2], c: [f64; 2]| -> [f64; 2] {
                    core::array::from_fn(|n| (4.0 * b[n] - 3.0 * a[n] - c[n]) / (2.0 * e * step.h))
                };
                let start = slope(at(0.0), at(e), at(2.0 * e));
                let stop = slope(at(1.0), at(1.0 - e), at(1.0 - 2.0 * e)).map(|d| -d);
                let t = step.t;
                assert!(
                    distance(start, rotation(t, &step.y)) < 1e-6,
                    "{}",
                    tableau.name
                );
                assert!(
                    distance(stop, rotation(t + step.h, &next)) < 1e-6,
                    "{}",
                    tableau.name
                );
            }
        }
    }
    for solver in Solver::ALL {
        solver.with_tableau(Joins);
    }
}
