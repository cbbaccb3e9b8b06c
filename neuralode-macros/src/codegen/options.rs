//! The declared options of a block, as an expression.

use proc_macro2::{Literal, TokenStream};
use quote::quote;

use crate::{
    ast::{digits, Value},
    model::{Adjoint, Controller, Method, Ode},
};

use super::{root, size_value};

pub(super) fn expression(ode: &Ode) -> TokenStream {
    let root = root();
    let (t0, t1) = (number(&ode.span.0), number(&ode.span.1));
    let (rtol, atol) = (number(&ode.solver.rtol), number(&ode.solver.atol));
    let solver = match ode.solver.method {
        Method::Tsit5 => quote!(Tsit5),
    };
    let controller = match ode.solver.controller {
        Controller::I => quote!(I),
        Controller::Pi => quote!(PI),
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
    // The array gives each number its type where it stands: a constant of another type is underlined alone.
    quote! {{
        let [t0, t1, rtol, atol]: [f64; 4] = [#t0, #t1, #rtol, #atol];
        #root::SolveOptions::new(t0, t1, rtol, atol)
            .with_solver(#root::Solver::#solver)
            .with_controller(#root::Controller::#controller)
            .with_adjoint(#root::Adjoint::#adjoint)
            .with_save_at(#root::SaveAt::End)
    }}
}

/// A number as `f64`; integers are allowed in the DSL. Constants must be `f64` themselves.
fn number(value: &Value) -> TokenStream {
    match value {
        Value::Number(minus, lit) => {
            let digits = digits(lit).and_then(|(digits, _)| digits.parse::<f64>().ok());
            let literal = Literal::f64_unsuffixed(digits.unwrap_or(0.0));
            quote!(#minus #literal)
        }
        Value::Path(path) => quote!(#path),
        Value::Infer(_) => TokenStream::new(),
    }
}
