// A whole program with one mistake in its model has one error, however it uses the model.
use neuralode::prelude::*;

neural_ode! {
    #[derive(Clone, Debug)]
    pub struct Model {
        input: [4],
        encoder: Dense(4 => 8, tahn),
        ode: Ode {
            field(t, y): [Dense(8 => 8, tanh), Dense(8 => 8)],
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
        },
        head: Dense(8 => 2),
    }
}

#[derive(Clone, Debug)]
struct Trainer {
    model: Model<f64, Cpu>,
    optimizer: Adam<Model<f64, Cpu>, f64, Cpu>,
}

impl Trainer {
    fn new(dev: &Cpu) -> Self {
        let mut model = Model::<f64, _>::build(dev);
        model.ode.options.rtol = 1e-6;
        let optimizer = Adam::new(&model, AdamConfig::default());
        Self { model, optimizer }
    }

    fn step(&mut self, x: Tensor<Rank2<16, 4>, f64, Cpu>) -> Result<f64, SolveError> {
        let gradients = self.model.alloc_grads();
        let y = self.model.forward_mut(x.traced(gradients));
        let loss = y.square().mean();
        let value = loss.array();
        let (mut gradients, stats) = try_backward(loss)?;
        self.optimizer.update(&mut self.model, &gradients).unwrap();
        self.model.zero_grads(&mut gradients);
        println!("{} {}", value, stats.vjps);
        Ok(value)
    }
}

fn evaluate<M>(model: &M, x: Tensor<Rank2<1, 4>, f64, Cpu>) -> M::Output
where
    M: Module<Tensor<Rank2<1, 4>, f64, Cpu>>,
{
    model.forward(x)
}

fn main() -> Result<(), SolveError> {
    let dev = Cpu::seed_from_u64(0);
    let mut trainer = Trainer::new(&dev);
    println!("{}", trainer.step(dev.zeros())?);

    let model = &trainer.model;
    println!("{} {}", model.summary(), model.num_trainable_params());
    let (y, stats) = model.try_forward_with_stats(dev.zeros::<Rank2<3, 4>>())?;
    println!("{:?} {}", y.array()[0], stats.accepted);
    let weights = model.encoder.weight.as_vec();
    let bias = &model.ode.field.1.bias;
    println!("{:?} {:?} {:?}", weights[0], bias.shape(), model.head);
    let y = evaluate(model, dev.zeros());
    println!("{}", y.array()[0][1]);

    let mut single = dev.build_module::<Model, f32>();
    single.copy_options_from(model);
    let copy = model.clone().to_device(&dev);
    let Model { head, .. } = copy;
    let z: Tensor<Rank2<1, 2>, f64, _> = head.forward(dev.zeros::<Rank2<1, 8>>());
    println!("{:?}", z.array());
    Ok(())
}
