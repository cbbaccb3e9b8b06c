//! Layers over the places of an image: `Conv2d` and pools.
//!
//! Heights and widths are numbers, so that the macro can compute those of what leaves; channels may be constants.

use quote::quote;
use syn::Ident;

use crate::{
    ast::{digits, Expr, Value},
    check,
    model::{
        spatial::{Spatial, SpatialKind, Window},
        Feeder, Layer, LayerKind, Shape, Size,
    },
};

use super::{arguments::Arguments, foreign::listed_widths, words::found, Lowering};

const CONV: &str = "write `Conv2d(inputs => outputs, activation, kernel: 3)`, `Conv2d(_ => outputs, kernel: 3)` or \
    `Conv2d(outputs, kernel: 3)`";

const KERNEL: &str = "write the side of its window, such as `kernel: 3`";

/// The largest padding: twice as much can be added to any image that can be held.
const MOST: usize = usize::MAX / 4;

/// A layer that makes one number of each window.
struct Pool {
    name: &'static str,
    help: &'static str,
    kind: fn(Window) -> SpatialKind,
}

const MAX_POOL: Pool = Pool {
    name: "MaxPool2d",
    help: "write `MaxPool2d(kernel: 2)` or `MaxPool2d(kernel: 3, stride: 2)`",
    kind: SpatialKind::MaxPool,
};

const AVG_POOL: Pool = Pool {
    name: "AvgPool2d",
    help: "write `AvgPool2d(kernel: 2)` or `AvgPool2d(kernel: 3, stride: 2)`",
    kind: SpatialKind::AvgPool,
};

/// What enters such a layer.
struct Image {
    channels: Size,
    height: usize,
    width: usize,
}

/// A window where the user wrote it.
struct Written<'e> {
    window: Window,
    padding: usize,
    kernel_at: &'e Expr,
}

impl Lowering<'_> {
    /// The layer that `word` means.
    pub(super) fn spatial(
        &mut self,
        word: &str,
        name: &Ident,
        arguments: Option<&[Expr]>,
        current: &mut Option<Shape>,
        feeder: Feeder,
    ) -> Option<Layer> {
        match word {
            "MaxPool2d" => self.pool2d(name, arguments, current, &MAX_POOL),
            "AvgPool2d" => self.pool2d(name, arguments, current, &AVG_POOL),
            "GlobalAvgPool" => self.global_avg_pool(name, arguments, current),
            _ => self.conv2d(name, arguments, current, feeder),
        }
    }

    /// `Conv2d(1 => 8, relu, kernel: 3, stride: 2, padding: 1, init: kaiming)`
    fn conv2d(
        &mut self,
        name: &Ident,
        arguments: Option<&[Expr]>,
        current: &mut Option<Shape>,
        feeder: Feeder,
    ) -> Option<Layer> {
        // Whatever goes wrong below, the shape that enters is used up here.
        let incoming = current.take();
        let empty = arguments.is_none_or(<[Expr]>::is_empty);
        let words = ["kernel", "stride", "padding", "init"];
        let arguments = self.arguments("Conv2d", arguments, &words);
        if self.kernel_without_name(&arguments) {
            return None;
        }
        let init = self.init(&arguments);
        let window = if empty {
            None
        } else {
            self.window("Conv2d", name, &arguments)
        };
        let Some((channels, rest)) = arguments.values.split_first() else {
            let message = "`Conv2d` needs its number of output channels";
            self.diagnostics.error(name, message, CONV);
            return None;
        };
        let activation = self.activation_of("Conv2d", rest, CONV);
        let (declared, outputs) = match channels {
            Expr::Edge(Value::Infer(_), outputs) | Expr::Value(outputs) => (None, outputs),
            Expr::Edge(inputs, outputs) => (Some(inputs), outputs),
            Expr::Invalid => return None,
            other => {
                let message = format!("expected the channels of a `Conv2d`{}", found(other));
                self.diagnostics.error(other, message, CONV);
                return None;
            }
        };
        let declared = declared.map(|inputs| self.width(inputs));
        let output = self.width(outputs);
        let image = self.image(name, &incoming?)?;
        let channels = match declared {
            Some(written) => {
                let written = written?;
                let condition = check::feeds(
                    &image.channels,
                    &written,
                    "channels",
                    feeder,
                    self.diagnostics,
                );
                self.conditions.extend(condition);
                written.size
            }
            None => image.channels.clone(),
        };
        let written = window?;
        let (window, padding) = (written.window, written.padding);
        let to = self.places(&image, &written)?;
        let crate::model::Written {
            size: output,
            tokens: output_at,
        } = output?;
        let leaving = vec![output.clone(), Size::Literal(to.0), Size::Literal(to.1)];
        self.countable(name, &leaving)?;
        check::alone_if_open(&leaving, &[output_at], self.diagnostics).then_some(())?;
        *current = Some(leaving.clone());
        let kind = SpatialKind::Conv {
            output,
            window,
            padding,
            activation: activation?,
            init: init?,
        };
        Some(over(Image { channels, ..image }, to, leaving, kind))
    }

    /// Reports numbers of a `Conv2d` by position, `Conv2d(1, 8, 3)`, `Conv2d(1 => 8, 3)`.
    fn kernel_without_name(&mut self, arguments: &Arguments<'_>) -> bool {
        let has_kernel = arguments.setting("kernel").is_some() || arguments.misspelt;
        let values = &arguments.values;
        if let Some((inputs, outputs)) = listed_widths(values) {
            let third = values.get(2).copied().filter(|third| is_number(third));
            if third.is_none() && !has_kernel {
                return self.named_kernel(values);
            }
            let kernel = match third.or(arguments.setting("kernel")) {
                Some(Expr::Value(kernel)) => kernel.text(),
                _ => "3".to_owned(),
            };
            let (from, to) = (inputs.text(), outputs.text());
            self.diagnostics.error(
                quote!(#inputs #outputs),
                format!("`Conv2d` takes its channels as `inputs => outputs`, found `{from}, {to}`"),
                format!("write `Conv2d({from} => {to}, kernel: {kernel})`"),
            );
            return true;
        }
        !has_kernel && self.named_kernel(values)
    }

    /// Reports a number in the place of the activation, which is the side of the window.
    fn named_kernel(&mut self, values: &[&Expr]) -> bool {
        let Some(Expr::Value(kernel)) = values.get(1).filter(|value| is_number(value)) else {
            return false;
        };
        let text = kernel.text();
        self.diagnostics.error(
            kernel,
            format!("`Conv2d` takes the side of its window by name, found `{text}`"),
            format!("write `kernel: {text}`"),
        );
        true
    }

    /// `MaxPool2d(kernel: 2)`, `AvgPool2d(kernel: 3, stride: 2)`
    fn pool2d(
        &mut self,
        name: &Ident,
        arguments: Option<&[Expr]>,
        current: &mut Option<Shape>,
        pool: &Pool,
    ) -> Option<Layer> {
        let incoming = current.take();
        let arguments = self.arguments(pool.name, arguments, &["kernel", "stride"]);
        if let Some(surplus) = arguments.values.first() {
            if !matches!(surplus, Expr::Invalid) {
                let message = format!("`{}` takes its settings by name", pool.name);
                self.diagnostics.error(surplus, message, pool.help);
            }
            return None;
        }
        let window = self.window(pool.name, name, &arguments);
        let image = self.image(name, &incoming?)?;
        let window = window?;
        let kind = (pool.kind)(window.window);
        let to = self.places(&image, &window)?;
        let leaving = vec![
            image.channels.clone(),
            Size::Literal(to.0),
            Size::Literal(to.1),
        ];
        *current = Some(leaving.clone());
        Some(over(image, to, leaving, kind))
    }

    /// `GlobalAvgPool`
    fn global_avg_pool(
        &mut self,
        name: &Ident,
        arguments: Option<&[Expr]>,
        current: &mut Option<Shape>,
    ) -> Option<Layer> {
        self.no_arguments("GlobalAvgPool", arguments);
        let image = self.image(name, &current.take()?)?;
        let leaving = vec![image.channels.clone()];
        *current = Some(leaving.clone());
        Some(over(image, (1, 1), leaving, SpatialKind::GlobalAvgPool))
    }

    /// The settings `kernel`, `stride` and `padding`: the window of a pool is moved by its own side.
    fn window<'e>(
        &mut self,
        layer: &str,
        name: &Ident,
        arguments: &Arguments<'e>,
    ) -> Option<Written<'e>> {
        let stride = arguments.setting("stride");
        let stride = stride.map(|value| self.count(value, "stride", false));
        let padding = arguments.setting("padding");
        let padding = padding.map(|value| {
            let padding = self.count(value, "padding", true)?;
            if padding > MOST {
                let message = format!("the size `{padding}` overflows `usize`");
                let help = format!("write a number up to {MOST}");
                self.diagnostics.error(value, message, help);
                return None;
            }
            Some(padding)
        });
        let Some(kernel_at) = arguments.setting("kernel") else {
            if !arguments.misspelt {
                let message = format!("`{layer}` needs the size of its window");
                self.diagnostics.error(name, message, KERNEL);
            }
            return None;
        };
        let kernel = self.count(kernel_at, "kernel", false)?;
        let usual = if layer == "Conv2d" { 1 } else { kernel };
        Some(Written {
            window: Window {
                kernel,
                stride: stride.unwrap_or(Some(usual))?,
            },
            padding: padding.unwrap_or(Some(0))?,
            kernel_at,
        })
    }

    /// A number of places, which must be written out.
    fn count(&mut self, value: &Expr, name: &str, or_zero: bool) -> Option<usize> {
        let example = if name == "kernel" { "3" } else { "1" };
        match value {
            Expr::Value(Value::Number(None, syn::Lit::Int(lit)))
                if or_zero
                    && lit.base10_digits() == "0"
                    && matches!(lit.suffix(), "" | "usize") =>
            {
                Some(0)
            }
            Expr::Value(at @ Value::Number(minus, lit)) => {
                check::width(at, minus.is_some(), lit, example, self.diagnostics)
            }
            Expr::Value(Value::Path(_)) => {
                let message = format!("`{name}` must be written as a number{}", found(value));
                let help = format!("write its value, such as `{name}: {example}`");
                self.diagnostics.error(value, message, help);
                None
            }
            Expr::Invalid => None,
            other => {
                let message = format!("expected a positive integer{}", found(other));
                let help = format!("write a number such as `{example}`");
                self.diagnostics.error(other, message, help);
                None
            }
        }
    }

    /// The channels, height and width of what enters the layer `name`.
    fn image(&mut self, name: &Ident, shape: &[Size]) -> Option<Image> {
        let sizes: Vec<String> = shape.iter().map(Size::to_string).collect();
        let sizes = sizes.join(", ");
        let [channels, height, width] = shape else {
            let axes = match shape.len() {
                1 => "1 axis".to_owned(),
                axes => format!("{axes} axes"),
            };
            let help = match shape {
                [height, width] => format!("put `Reshape([1, {height}, {width}])` before it"),
                _ => "put a `Reshape` such as `Reshape([1, 28, 28])` before it".to_owned(),
            };
            self.diagnostics.error(
                name,
                format!("`{name}` takes [channels, height, width], found {axes}: [{sizes}]"),
                help,
            );
            return None;
        };
        let (Some(height), Some(width)) = (height.known(), width.known()) else {
            self.diagnostics.error(
                name,
                format!("`{name}` takes a height and a width that are numbers, found [{sizes}]"),
                "write them as numbers where the shape is declared; only channels may be constants",
            );
            return None;
        };
        Some(Image {
            channels: channels.clone(),
            height,
            width,
        })
    }

    /// How many places a window has, down and right.
    fn places(&mut self, image: &Image, written: &Written<'_>) -> Option<(usize, usize)> {
        let Written {
            window: Window { kernel, stride },
            padding,
            kernel_at,
        } = *written;
        let places = |length: usize| {
            let padded = length.checked_add(2 * padding)?;
            Some(padded.checked_sub(kernel)? / stride + 1)
        };
        if let (Some(down), Some(right)) = (places(image.height), places(image.width)) {
            return Some((down, right));
        }
        let (height, width) = (image.height, image.width);
        let padded = match padding {
            0 => String::new(),
            padding => format!(" with a padding of {padding}"),
        };
        let most = height.min(width).saturating_add(2 * padding);
        self.diagnostics.error(
            kernel_at,
            format!(
                "a window of {kernel} by {kernel} does not fit an image of {height} by {width}{padded}"
            ),
            format!("write a number up to {most}"),
        );
        None
    }

    /// Makes sure that a shape of numbers holds no more scalars than can be counted.
    fn countable(&mut self, name: &Ident, shape: &[Size]) -> Option<()> {
        let product = Size::Product(shape.to_vec());
        let numbers = shape.iter().all(|size| size.known().is_some());
        if numbers && product.known().is_none() {
            self.diagnostics.error(
                name,
                format!("the number of features {product} overflows `usize`"),
                "write fewer channels or a smaller `padding`",
            );
            return None;
        }
        Some(())
    }
}

/// Whether a value is a number.
fn is_number(value: &Expr) -> bool {
    matches!(value, Expr::Value(Value::Number(_, lit)) if digits(lit).is_some())
}

/// A layer from an image to this shape.
fn over(image: Image, to: (usize, usize), leaving: Shape, kind: SpatialKind) -> Layer {
    let Image {
        channels,
        height,
        width,
    } = image;
    Layer {
        input: vec![
            channels.clone(),
            Size::Literal(height),
            Size::Literal(width),
        ],
        output: leaving,
        kind: LayerKind::Spatial(Spatial {
            channels,
            from: (height, width),
            to,
            kind,
        }),
    }
}
