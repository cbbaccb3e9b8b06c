//! The declared options of a block, as an expression.

use proc_macro2::TokenStream;
use quote::quote;

use crate::{
    ast::Value,
    model::{Adjoint, Control, Controller, Ode, Sizes, Steps},
};

use super::{root, sizes::size_value, values::number};

pub(super) fn expression(ode: &Ode) -> TokenStream {
    let root = root();
    let mut settings = vec![
        (quote!(t0), number(&ode.span.0)),
        (quote!(t1), number(&ode.span.1)),
    ];
    let solver = ode.solver.method.runtime_name();
    let mut steps = Sizes::Shared;
    let mut control = TokenStream::new();
    let controller = match &ode.solver.steps {
        Steps::Adaptive {
            rtol,
            atol,
            controller,
            control: whose,
            sizes,
        } => {
            if matches!(whose, Control::Gradients) {
                control = quote!(.with_control(#root::Control::GRADIENTS));
            }
            steps = *sizes;
            settings.push((quote!(rtol), number(rtol)));
            settings.push((quote!(atol), number(atol)));
            match controller {
                Controller::I => quote!(I),
                Controller::Pi => quote!(PI),
                Controller::Pid(coefficients) => {
                    let [p, i, d] = &**coefficients;
                    let or =
                        |value: &Option<Value>, default| value.as_ref().map_or(default, number);
                    settings.push((quote!(p), or(p, quote!(0.0))));
                    settings.push((quote!(i), or(i, quote!(1.0))));
                    settings.push((quote!(d), or(d, quote!(0.0))));
                    quote!(Pid { p, i, d })
                }
            }
        }
        Steps::Equal { dt } => {
            // Equal steps have no use for tolerances: the defaults.
            settings.push((quote!(rtol), quote!(1e-3)));
            settings.push((quote!(atol), quote!(1e-3)));
            settings.push((quote!(dt), number(dt)));
            quote!(Constant { dt })
        }
    };
    let adjoint = match &ode.adjoint {
        Adjoint::Discrete => quote!(Discrete),
        Adjoint::Interpolating => quote!(Interpolating),
        Adjoint::Gauss => quote!(Gauss),
        Adjoint::Quadrature => quote!(Quadrature),
        Adjoint::Backsolve => quote!(Backsolve),
        Adjoint::Checkpointed { bytes } => {
            let bytes = size_value(bytes);
            quote!(Checkpointed { bytes: #bytes })
        }
    };
    let steps = steps.runtime_name();
    let (names, numbers): (Vec<_>, Vec<_>) = settings.into_iter().unzip();
    let count = names.len();
    quote! {{
        let [#(#names),*]: [f64; #count] = [#(#numbers),*];
        #root::SolveOptions::new(t0, t1, rtol, atol)
            .with_solver(#root::Solver::#solver)
            .with_controller(#root::Controller::#controller)
            #control
            .with_steps(#root::StepSizes::#steps)
            .with_adjoint(#root::Adjoint::#adjoint)
    }}
}
