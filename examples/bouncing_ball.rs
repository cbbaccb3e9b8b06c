//! A ball that bounces: events, dense output, and how the time of the first impact depends on the start.
//!
//! ```console
//! $ cargo run --release --example bouncing_ball
//! ```

use neuralode::{
    ode::{
        field::{Differentiable, VectorField},
        method::TSIT5,
        Ended,
    },
    Event, SaveAt, Solve, SolveError, SolveOptions,
};

/// Height and speed under gravity, the parameter.
struct Fall(f64);

impl VectorField for Fall {
    type State = [f64; 2];

    fn eval(&mut self, _t: f64, y: &[f64; 2], dy: &mut [f64; 2]) -> Result<(), SolveError> {
        *dy = [y[1], -self.0];
        Ok(())
    }
}

impl Differentiable for Fall {
    type Params = [f64; 1];

    fn zero_params(&mut self) -> Result<[f64; 1], SolveError> {
        Ok([0.0])
    }

    fn vjp(
        &mut self,
        _t: f64,
        _y: &[f64; 2],
        cotangent: &[f64; 2],
        y_bar: &mut [f64; 2],
        theta_bar: &mut [f64; 1],
    ) -> Result<(), SolveError> {
        (*y_bar, *theta_bar) = ([0.0, cotangent[0]], [-cotangent[1]]);
        Ok(())
    }
}

const RESTITUTION: f64 = 0.7;
const START: [f64; 2] = [5.0, 0.0];

fn impact() -> Event<'static, [f64; 2]> {
    Event::new(|_t, y: &[f64; 2]| y[0]).falling().terminal()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut field = Fall(9.81);
    let mut options = SolveOptions::new(0.0, 5.0, 1e-9, 1e-9);

    println!("bounce     impact   speed there   highest point before it");
    let mut y = START;
    for bounce in 1..=10 {
        let flight = Solve::new(&mut field, y, &options)
            .save_at(SaveAt::end().with_dense())
            .event(impact())
            // Recorded: the solve goes on.
            .event(Event::new(|_t, y: &[f64; 2]| y[1]).falling())
            .run()?;
        if flight.ended != Ended::AtEvent {
            break;
        }
        let top = match flight.events.iter().find(|event| event.event == 1) {
            Some(top) => top.y[0],
            None => y[0],
        };
        // Halfway through the flight, from the dense output.
        let half = flight.at(0.5 * (options.t0 + flight.t))?;
        assert!(half[0] <= top + 1e-9);
        println!(
            "{bounce:>6}   {:>8.5}   {:>11.5}   {top:>23.5}",
            flight.t, flight.y[1]
        );
        options.t0 = flight.t;
        y = [0.0, -RESTITUTION * flight.y[1]];
    }

    options.t0 = 0.0;
    let (flight, kept) = Solve::new(&mut field, START, &options)
        .event(impact())
        .run_keeping(&TSIT5)?;
    for event in &flight.events {
        // The cotangent of the time is 1, that of the state zero.
        let back = event.pull_back((0.0, &[1.0, 0.0]), (1.0, &[0.0, 0.0]))?;
        let pulled = kept.pull_back(&mut field, &[back.cotangent])?;
        println!();
        println!("first impact at {:.5} s", event.t);
        println!("  per metre of height         {:>9.5} s", pulled.y_bar[0]);
        println!("  per metre per second upward {:>9.5} s", pulled.y_bar[1]);
        println!(
            "  per unit of gravity         {:>9.5} s",
            pulled.theta_bar[0]
        );
    }
    Ok(())
}
