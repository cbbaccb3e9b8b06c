//! The random numbers of `numpy.random.default_rng(seed)`, so that all libraries start from the same weights.
//!
//! # Sources
//! M. E. O'Neill, "PCG: A Family of Simple Fast Space-Efficient Statistically Good Algorithms for Random Number
//! Generation", HMC-CS-2014-0905 (PCG XSL RR 128/64); `NumPy`'s documentation of `SeedSequence` and `PCG64`.

/// `numpy.random.Generator` on PCG64, for what the benchmarks draw.
#[derive(Debug)]
pub(crate) struct Rng {
    state: u128,
    increment: u128,
}

const POOL: usize = 4;

impl Rng {
    pub(crate) fn new(seed: u32) -> Self {
        let words = seed_words(seed);
        let wide = |index: usize| u128::from(words[index]) << 64 | u128::from(words[index + 1]);
        let mut rng = Self {
            state: 0,
            increment: wide(2) << 1 | 1,
        };
        rng.advance();
        rng.state = rng.state.wrapping_add(wide(0));
        rng.advance();
        rng
    }

    fn advance(&mut self) {
        const MULTIPLIER: u128 = 0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645;
        self.state = self
            .state
            .wrapping_mul(MULTIPLIER)
            .wrapping_add(self.increment);
    }

    /// `uniform(low, high)`
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "the algorithm takes the halves of the state, and 53 bits of a draw"
    )]
    fn uniform(&mut self, low: f64, high: f64) -> f64 {
        self.advance();
        let (upper, lower) = ((self.state >> 64) as u64, self.state as u64);
        let bits = (upper ^ lower).rotate_right((self.state >> 122) as u32);
        let unit = (bits >> 11) as f64 * f64::EPSILON / 2.0;
        low + (high - low) * unit
    }

    /// `uniform(low, high, count)`, rounded to f32.
    pub(crate) fn uniforms(&mut self, low: f64, high: f64, count: usize) -> Vec<f64> {
        (0..count)
            .map(|_| to_f32(self.uniform(low, high)))
            .collect()
    }

    /// Weights and biases of dense layers between these widths, in dfdx's layout: Glorot uniform weights (drawn
    /// inputs first) and zero biases, rounded to f32.
    pub(crate) fn dense_layers(&mut self, widths: &[usize]) -> Vec<Vec<f64>> {
        let mut parameters = Vec::new();
        for (i, o) in widths.iter().zip(&widths[1..]).map(|(i, o)| (*i, *o)) {
            #[allow(clippy::cast_precision_loss, reason = "small numbers")]
            let bound = (6.0 / (i + o) as f64).sqrt();
            let mut weight = vec![0.0; o * i];
            for input in 0..i {
                for output in 0..o {
                    weight[output * i + input] = to_f32(self.uniform(-1.0, 1.0) * bound);
                }
            }
            parameters.push(weight);
            parameters.push(vec![0.0; o]);
        }
        parameters
    }
}

#[allow(clippy::cast_possible_truncation, reason = "rounding is the purpose")]
fn to_f32(x: f64) -> f64 {
    f64::from(x as f32)
}

/// `SeedSequence(seed).generate_state(4, uint64)`
fn seed_words(seed: u32) -> [u64; 4] {
    let mut hash = 0x43b0_d7e5_u32;
    let mut hashed = |value: u32| {
        let value = value ^ hash;
        hash = hash.wrapping_mul(0x931e_8875);
        let value = value.wrapping_mul(hash);
        value ^ value >> 16
    };
    let mut pool = [hashed(seed), hashed(0), hashed(0), hashed(0)];
    for source in 0..POOL {
        for target in (0..POOL).filter(|target| *target != source) {
            let mixed = 0xca01_f9dd_u32
                .wrapping_mul(pool[target])
                .wrapping_sub(0x4973_f715_u32.wrapping_mul(hashed(pool[source])));
            pool[target] = mixed ^ mixed >> 16;
        }
    }
    let mut hash = 0x8b51_f9dd_u32;
    let mut words = [0; 4];
    for index in 0..2 * words.len() {
        let value = pool[index % POOL] ^ hash;
        hash = hash.wrapping_mul(0x58f3_8ded);
        let value = value.wrapping_mul(hash);
        let value = u64::from(value ^ value >> 16);
        words[index / 2] |= value << (32 * (index % 2));
    }
    words
}

/// Panics unless the first numbers are `NumPy`'s.
pub(crate) fn check() {
    for (seed, expected) in [
        (0, [0.273_923_37, -0.460_426_57, -0.918_052_95]),
        (2, [-0.476_775_73, -0.403_017_71, 0.628_451_48]),
    ] {
        let found = Rng::new(seed).uniforms(-1.0, 1.0, 3);
        let close = found
            .iter()
            .zip(expected)
            .all(|(a, b)| (a - b).abs() < 1e-7);
        assert!(close, "seed {seed}: {found:?} are not NumPy's numbers");
    }
}
