//! Draws digits: a stand-in for MNIST where neither its files nor a network are at hand.
//!
//! Every digit is a few strokes of a pen in the unit square (x to the right, y downwards). An image
//! moves the points of the strokes a little, bends and moves the whole digit, draws it with a pen
//! of some width and adds noise.
//!
//! Only `+ - * /` and square roots occur, which round the same way everywhere, so that a seed
//! gives the same bytes on every platform: curves are splines instead of arcs, and rotations come
//! from the tangent of half the angle.

use super::idx::{PIXELS, SIDE};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

type Point = (f64, f64);

/// One movement of the pen.
enum Stroke {
    /// Straight from point to point.
    Line(&'static [Point]),
    /// Smoothly through the points.
    Curve(&'static [Point]),
}
use Stroke::{Curve, Line};

/// The ways to write each digit.
const DIGITS: [&[&[Stroke]]; 10] = [
    &[&[Curve(&[
        (0.52, 0.10),
        (0.30, 0.22),
        (0.23, 0.50),
        (0.30, 0.80),
        (0.50, 0.90),
        (0.70, 0.78),
        (0.77, 0.50),
        (0.70, 0.22),
        (0.50, 0.10),
    ])]],
    &[
        &[Line(&[(0.50, 0.10), (0.50, 0.90)])],
        &[Line(&[(0.34, 0.28), (0.54, 0.10), (0.54, 0.90)])],
    ],
    &[&[
        Curve(&[
            (0.26, 0.30),
            (0.36, 0.14),
            (0.55, 0.10),
            (0.72, 0.24),
            (0.68, 0.45),
            (0.48, 0.67),
            (0.24, 0.88),
        ]),
        Line(&[(0.24, 0.88), (0.78, 0.86)]),
    ]],
    &[&[
        Curve(&[
            (0.28, 0.20),
            (0.48, 0.10),
            (0.69, 0.20),
            (0.66, 0.38),
            (0.44, 0.48),
        ]),
        Curve(&[
            (0.44, 0.48),
            (0.70, 0.57),
            (0.74, 0.75),
            (0.54, 0.90),
            (0.25, 0.82),
        ]),
    ]],
    &[
        &[
            Line(&[(0.32, 0.12), (0.24, 0.55), (0.78, 0.55)]),
            Line(&[(0.68, 0.14), (0.64, 0.90)]),
        ],
        &[Line(&[
            (0.62, 0.90),
            (0.62, 0.10),
            (0.22, 0.62),
            (0.80, 0.62),
        ])],
    ],
    &[&[
        Line(&[(0.72, 0.12), (0.35, 0.12), (0.31, 0.45)]),
        Curve(&[
            (0.31, 0.45),
            (0.53, 0.41),
            (0.73, 0.54),
            (0.71, 0.76),
            (0.50, 0.90),
            (0.25, 0.82),
        ]),
    ]],
    &[&[Curve(&[
        (0.66, 0.10),
        (0.44, 0.25),
        (0.29, 0.50),
        (0.29, 0.75),
        (0.48, 0.90),
        (0.69, 0.80),
        (0.69, 0.62),
        (0.50, 0.52),
        (0.31, 0.66),
    ])]],
    &[
        &[Line(&[(0.22, 0.14), (0.76, 0.14), (0.42, 0.90)])],
        &[
            Line(&[(0.22, 0.14), (0.76, 0.14), (0.42, 0.90)]),
            Line(&[(0.38, 0.50), (0.72, 0.50)]),
        ],
    ],
    &[&[Curve(&[
        (0.50, 0.47),
        (0.32, 0.34),
        (0.34, 0.17),
        (0.50, 0.10),
        (0.66, 0.17),
        (0.68, 0.34),
        (0.50, 0.47),
        (0.29, 0.62),
        (0.28, 0.81),
        (0.50, 0.90),
        (0.72, 0.81),
        (0.71, 0.62),
        (0.50, 0.47),
    ])]],
    &[&[Curve(&[
        (0.69, 0.30),
        (0.52, 0.49),
        (0.33, 0.42),
        (0.31, 0.20),
        (0.50, 0.10),
        (0.68, 0.18),
        (0.69, 0.32),
        (0.66, 0.62),
        (0.52, 0.90),
    ])]],
];

/// How far things vary; together these decide how hard the images are to tell apart.
const SLANT: f64 = 20.0;
/// Shift of `x` per unit of `y`.
const SHEAR: f64 = 0.25;
/// Side of the digit's square in pixels, for each axis on its own.
const SIZE: (f64, f64) = (17.0, 23.0);
/// Pixels to either side.
const SHIFT: f64 = 2.5;
/// Half the width of the pen in pixels.
const PEN: (f64, f64) = (0.7, 1.7);
/// Movement of each point in the unit square.
const JITTER: f64 = 0.045;
/// Largest grey value added or removed per pixel.
const NOISE: f64 = 24.0;

/// Straight pieces per piece of a spline.
const PIECES: u32 = 5;

/// `count` images and their labels, row by row, the same for the same seed.
pub(crate) fn draw(count: usize, seed: u64) -> (Vec<u8>, Vec<u8>) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut images = Vec::with_capacity(count * PIXELS);
    let mut labels = Vec::with_capacity(count);
    for _ in 0..count {
        // `u32`, not `usize`: the latter draws differently on 32-bit machines.
        let label = random.gen_range(0..10_u8);
        let styles = DIGITS[usize::from(label)];
        let style = random.gen_range(0..8_u32) as usize % styles.len();
        labels.push(label);
        draw_one(styles[style], &mut random, &mut images);
    }
    (images, labels)
}

/// Appends one image of the strokes to `images`.
fn draw_one(strokes: &[Stroke], random: &mut StdRng, images: &mut Vec<u8>) {
    let place = Placement::random(random);
    let mut segments = Vec::new();
    for stroke in strokes {
        let (Line(points) | Curve(points)) = stroke;
        let moved: Vec<Point> = points
            .iter()
            .map(|&(x, y)| (x + spread(random, JITTER), y + spread(random, JITTER)))
            .map(|point| place.apply(point))
            .collect();
        let path = match stroke {
            Line(_) => moved,
            Curve(_) => smooth(&moved),
        };
        segments.extend(path.windows(2).map(|pair| (pair[0], pair[1])));
    }
    let pen = random.gen_range(PEN.0..PEN.1);
    for row in 0..SIDE {
        for column in 0..SIDE {
            let pixel = (f64::from(column) + 0.5, f64::from(row) + 0.5);
            let nearest = segments
                .iter()
                .map(|&(from, to)| squared_distance(pixel, from, to))
                .fold(f64::INFINITY, f64::min)
                .sqrt();
            // Full inside the stroke, fading over one pixel at its edge.
            let ink = (pen + 0.5 - nearest).clamp(0.0, 1.0);
            images.push(grey(255.0 * ink + spread(random, NOISE)));
        }
    }
}

/// A map from the unit square to pixels.
struct Placement {
    columns: [f64; 3],
    rows: [f64; 3],
}

impl Placement {
    /// Scales, shears, rotates, then moves.
    fn random(random: &mut StdRng) -> Self {
        let (wide, high) = (
            random.gen_range(SIZE.0..SIZE.1),
            random.gen_range(SIZE.0..SIZE.1),
        );
        let shear = spread(random, SHEAR);
        // The tangent of half a small angle is about half the angle.
        let tangent = spread(random, SLANT / 2.0 * std::f64::consts::PI / 180.0);
        let cos = (1.0 - tangent * tangent) / (1.0 + tangent * tangent);
        let sin = 2.0 * tangent / (1.0 + tangent * tangent);
        let centre = f64::from(SIDE) / 2.0;
        Self {
            columns: [
                cos * wide,
                (cos * shear - sin) * high,
                centre + spread(random, SHIFT),
            ],
            rows: [
                sin * wide,
                (sin * shear + cos) * high,
                centre + spread(random, SHIFT),
            ],
        }
    }

    fn apply(&self, (x, y): Point) -> Point {
        let (x, y) = (x - 0.5, y - 0.5);
        let at = |[per_x, per_y, centre]: [f64; 3]| per_x * x + per_y * y + centre;
        (at(self.columns), at(self.rows))
    }
}

/// A path of short lines through `points`: a Catmull-Rom spline.
fn smooth(points: &[Point]) -> Vec<Point> {
    let (Some(&first), Some(&last)) = (points.first(), points.last()) else {
        return Vec::new();
    };
    // The ends count twice, so that the curve reaches them.
    let mut ends_twice = vec![first];
    ends_twice.extend_from_slice(points);
    ends_twice.push(last);
    let mut path = vec![first];
    for four in ends_twice.windows(4) {
        for piece in 1..=PIECES {
            let t = f64::from(piece) / f64::from(PIECES);
            let at = |axis: fn(Point) -> f64| {
                let [a, b, c, d] = [axis(four[0]), axis(four[1]), axis(four[2]), axis(four[3])];
                let slope = c - a;
                let square = 2.0 * a - 5.0 * b + 4.0 * c - d;
                let cube = 3.0 * (b - c) + d - a;
                b + 0.5 * t * (slope + t * (square + t * cube))
            };
            path.push((at(|point| point.0), at(|point| point.1)));
        }
    }
    path
}

/// The squared distance of a point to the line from `from` to `to`.
fn squared_distance(point: Point, from: Point, to: Point) -> f64 {
    let (along_x, along_y) = (to.0 - from.0, to.1 - from.1);
    let (x, y) = (point.0 - from.0, point.1 - from.1);
    let length = along_x * along_x + along_y * along_y;
    let t = if length > 0.0 {
        ((x * along_x + y * along_y) / length).clamp(0.0, 1.0)
    } else {
        0.0
    };
    let (x, y) = (x - t * along_x, y - t * along_y);
    x * x + y * y
}

/// A number from `-limit` to `limit`.
fn spread(random: &mut StdRng, limit: f64) -> f64 {
    random.gen_range(-limit..limit)
}

/// Rounds a grey value into the range of a pixel.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value has been clamped to 0..=255"
)]
fn grey(value: f64) -> u8 {
    value.clamp(0.0, 255.0).round() as u8
}
